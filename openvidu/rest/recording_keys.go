package rest

import "net/http"

// recordingKey is a public key that recordings are signed with (ours, beside the
// contract): docs/recording-proof.md.
type recordingKey struct {
	ID      string `json:"id"`
	Current bool   `json:"current"`
	PEM     string `json:"pem"`
}

type recordingKeyList struct {
	Count int            `json:"count"`
	Items []recordingKey `json:"items"`
}

// recordingKeys lists the keys, earlier ones too.
func (h *Handler) recordingKeys(*http.Request, none) (recordingKeyList, error) {
	list := recordingKeyList{Items: []recordingKey{}}
	for i, k := range h.opts.Recordings.PublicKeys() {
		list.Items = append(list.Items, recordingKey{k.ID, i == 0, string(k.PEM())})
	}
	list.Count = len(list.Items)
	return list, nil
}
