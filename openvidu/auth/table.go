package auth

// right is one cell of the table.
type right uint8

const (
	no       right = iota
	own            // on the caller's own stream or connection only
	ownGiven       // on the caller's own stream, if the token's options name the filter
	whole          // on anything of the session
)

// rights of the three roles, in the order SUBSCRIBER, PUBLISHER, MODERATOR.
type rights struct{ subscriber, publisher, moderator right }

// table says who may call what once joined (signalling contract §8). What is not
// in it nobody may call. ping, echo, connect and closeSession belong to the
// socket, not to a role.
var table = map[string]rights{
	"leaveRoom":                     {own, own, own},
	"publishVideo":                  {no, own, own},
	"unpublishVideo":                {own, own, own}, // a subscriber gets "not publishing"
	"receiveVideoFrom":              {whole, whole, whole},
	"prepareReceiveVideoFrom":       {whole, whole, whole},
	"unsubscribeFromVideo":          {whole, whole, whole},
	"onIceCandidate":                {whole, whole, whole},
	"reconnectStream":               {whole, whole, whole}, // a publication: publishVideo is asked, too
	"sendMessage":                   {whole, whole, whole},
	"streamPropertyChanged":         {no, own, own},
	"videoData":                     {no, own, own},
	"forceUnpublish":                {no, no, whole},
	"forceDisconnect":               {no, no, whole},
	"applyFilter":                   {no, ownGiven, whole},
	"removeFilter":                  {no, ownGiven, whole},
	"execFilterMethod":              {no, ownGiven, whole},
	"addFilterEventListener":        {no, ownGiven, whole},
	"removeFilterEventListener":     {no, ownGiven, whole},
	"subscribeToSpeechToText":       {whole, whole, whole},
	"unsubscribeFromSpeechToText":   {whole, whole, whole},
	"setPreferredLayer":             {whole, whole, whole}, // these three are ours
	"subscribeToActiveSpeakers":     {whole, whole, whole},
	"unsubscribeFromActiveSpeakers": {whole, whole, whole},
	"sessionStatus":                 {whole, whole, whole},
}

// Methods lists the methods the table knows.
func Methods() []string {
	out := make([]string, 0, len(table))
	for m := range table {
		out = append(out, m)
	}
	return out
}

// Target is what a call is about: Own when it is the caller's own stream or
// connection, Given when the caller's token names the filter it asks for.
type Target struct{ Own, Given bool }

// Allow answers whether a role may call a method on a target of its session.
// Unknown methods and roles may nothing.
func Allow(method string, role Role, t Target) bool {
	row, ok := table[method]
	if !ok {
		return false
	}
	var r right
	switch role {
	case Subscriber:
		r = row.subscriber
	case Publisher:
		r = row.publisher
	case Moderator:
		r = row.moderator
	}
	switch r {
	case whole:
		return true
	case own:
		return t.Own
	case ownGiven:
		return t.Own && t.Given
	}
	return false
}
