package auth

// Role is what a connection may do in its session.
type Role string

// The roles of the OpenVidu contract.
const (
	Subscriber Role = "SUBSCRIBER"
	Publisher  Role = "PUBLISHER"
	Moderator  Role = "MODERATOR"
)

// Valid says whether r is one of the three roles.
func (r Role) Valid() bool { return r == Subscriber || r == Publisher || r == Moderator }
