package kms_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/kms"
)

// FuzzKMSRequest: whatever a client sends, each answer is a JSON-RPC reply or
// the end of its own connection, a bystander's objects stay, and once all
// sessions are closed no object is left. PIPE, ELEM and OTHER in the input stand
// for ids that exist; OTHER belongs to the bystander.
func FuzzKMSRequest(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add([]byte(seed))
	}
	reg, err := elements.NewRegistry(append(elements.Types(), core.Types()...)...)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		gauges := prometheus.NewRegistry()
		s, err := kms.NewServer(kms.Config{Registry: reg, Metrics: gauges})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		bystander, victim := s.Pipe(), s.Pipe()
		other := value(t, bystander, `{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"MediaPipeline"}}`).(string)
		pipe := value(t, victim, `{"jsonrpc":"2.0","id":"s1","method":"create","params":{"type":"MediaPipeline"}}`).(string)
		elem := value(t, victim, `{"jsonrpc":"2.0","id":"s2","method":"create","params":{"type":"PassThrough","constructorParams":{"mediaPipeline":"`+pipe+`"}}}`).(string)
		text := strings.NewReplacer("PIPE", pipe, "ELEM", elem).Replace(string(frame))
		named := strings.Contains(text, "OTHER") || strings.Contains(text, other)
		text = strings.ReplaceAll(text, "OTHER", other)
		victim.WriteJSON([]byte(text))
		// A subscription to the manager waits for all requests before it.
		victim.WriteJSON(json.RawMessage(`{"jsonrpc":"2.0","id":"end","method":"subscribe","params":{"object":"manager_ServerManager","type":"Error"}}`))
		for {
			b, err := victim.ReadFrame()
			if err != nil {
				break
			}
			var m struct {
				Version string          `json:"jsonrpc"`
				ID      json.RawMessage `json:"id"`
				Result  json.RawMessage `json:"result"`
				Error   *jsonrpc.Error  `json:"error"`
				Method  string          `json:"method"`
			}
			if json.Unmarshal(b, &m) != nil || m.Version != "2.0" {
				t.Fatalf("%q answered with %q", text, b)
			}
			if m.Error != nil && m.Error.Code == -32603 && strings.Contains(m.Error.Message, "failed") {
				t.Fatalf("%q made something panic: %s", text, b)
			}
			if string(m.ID) == `"end"` {
				break
			}
		}
		if !named && value(t, bystander, `{"jsonrpc":"2.0","id":2,"method":"invoke","params":{"object":"`+other+`","operation":"getName"}}`) != other {
			t.Fatalf("%q changed a bystander's pipeline", text)
		}
		victim.Close(jsonrpc.CloseNormal, "")
		for _, id := range value(t, bystander, `{"jsonrpc":"2.0","id":3,"method":"invoke","params":{"object":"manager_ServerManager","operation":"getSessions"}}`).([]any) {
			raw, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": "c", "method": "closeSession", "params": map[string]any{"sessionId": id}})
			value(t, bystander, string(raw))
		}
		if left := value(t, bystander, `{"jsonrpc":"2.0","id":4,"method":"invoke","params":{"object":"manager_ServerManager","operation":"getPipelines"}}`).([]any); len(left) != 0 {
			t.Fatalf("%q left pipelines %v without a session", text, left)
		}
		all, err := gauges.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range all {
			for _, m := range family.Metric {
				if family.GetName() == "kms_objects" && m.GetGauge().GetValue() != 0 {
					t.Fatalf("%q left objects: %v", text, m)
				}
			}
		}
	})
}

// value sends one request and gives the value of its reply.
func value(t *testing.T, c jsonrpc.Conn, raw string) any {
	t.Helper()
	if err := c.WriteJSON(json.RawMessage(raw)); err != nil {
		t.Fatal(err)
	}
	for {
		b, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var m struct {
			Method string `json:"method"`
			Result struct {
				Value any `json:"value"`
			} `json:"result"`
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("%s answered with %s", raw, b)
		}
		if m.Method == "" {
			return m.Result.Value
		}
	}
}

// seeds are a call of each method and operation, and what the recorded
// conversations send.
func seeds(f *testing.F) []string {
	out := []string{
		`{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"PassThrough","constructorParams":{"mediaPipeline":"PIPE"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"PassThrough","constructorParams":{"mediaPipeline":"ELEM"},"sessionId":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"ELEM","operation":"connect","operationParams":{"sink":"ELEM","mediaType":"VIDEO"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"ELEM","operation":"getStats","operationParams":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"ELEM","operation":"setVideoFormat","operationParams":{"caps":{"codec":"RAW","framerate":{"numerator":1,"denominator":0}}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"PIPE","operation":"addTag","operationParams":{"key":"k","value":"v"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"manager_ServerManager","operation":"getKmd","operationParams":{"moduleName":"core"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"object":"ELEM","type":"Error"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"release","params":{"object":"PIPE","sessionId":"y"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"release","params":{"object":"OTHER"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"unref","params":{"object":"ELEM"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"describe","params":{"object":"OTHER","sessionId":"z"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"closeSession","params":{"release":true}}`,
		`{"jsonrpc":"2.0","id":1,"method":"transaction","params":{"operations":[{"jsonrpc":"2.0","id":0,"method":"create","params":{"type":"MediaPipeline"}},{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"PassThrough","constructorParams":{"mediaPipeline":"newref:0"}}},{"jsonrpc":"2.0","id":2,"method":"transaction","params":{"operations":[]}}]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"transaction","params":{"operations":[{"jsonrpc":"2.0","id":0,"method":"release","params":{"object":"newref:9"}}]}}`,
		"\x00", "{", `{"jsonrpc":"2.0","method":"ping"}`, strings.Repeat("[", 100),
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, "C1 ") && !strings.Contains(line, "getUsedCpu") {
				out = append(out, strings.NewReplacer("$U1$", "s", "$U2$_kurento.MediaPipeline/$U3$_kurento.PassThrough", "ELEM", "$U2$_kurento.MediaPipeline", "PIPE").Replace(line[3:]))
			}
		}
	}
	return out
}
