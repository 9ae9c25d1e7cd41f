// Package openvidu is the rules of rooms: Manager, Session, Connection, Stream.
// It knows neither HTTP nor WebSockets (openvidu/rest and openvidu/signal are
// its doors) and reaches media only through kms/client.
//
// Each Session owns one goroutine (internal/loop), and all its state belongs to
// it; each Connection owns a second one on which its media calls run one after
// another, so that a slow media node never holds up the room, and a third for its
// recorder. Manager.Close waits for all of them. Contracts: OpenVidu REST and signalling, 2.32.
package openvidu
