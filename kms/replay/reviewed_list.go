package replay

// Reviewed are the differences between Govidu and the recorded server that were
// looked at, and why each is right.
var Reviewed = []Entry{
	{
		Kind: Closed, Theirs: "closed 1006", Ours: "error -32700",
		Reason: "the original drops a connection that sends no JSON; we answer that it cannot be parsed",
	},
	{
		Kind: Code, Theirs: "-32603", Ours: "-32602", File: "08-.*",
		Reason: "params that are no object are invalid params, not an internal error",
	},
	{
		Kind: Code, Theirs: "-32603", Ours: "40001", File: "07-.*",
		Reason: "an object of the wrong class is a wrong parameter, not an internal error",
	},
	{
		Kind: Value, At: ".* getSessions of manager_ServerManager", Path: `result\.value`,
		Reason: "the original lists an empty text for every session, and those of its other clients",
	},
	{
		Kind: Value, At: "request 2 connect", File: "09-sessions", Path: `result\.sessionId`, Theirs: "",
		Reason: "an empty sessionId is none: connect makes a new one instead of a session without a name",
	},
}
