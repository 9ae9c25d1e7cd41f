package kms

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
)

// newref is the prefix of a reference to an earlier result of a transaction.
const newref = "newref:"

// newrefError is err, unless id is a reference that nobody replaced: 40109.
func newrefError(id string, err error) error {
	if strings.HasPrefix(id, newref) {
		return kerr.New(kerr.MediaObjectNotFoundTransactionNoCommit, "Object '%s' not found", clip(id))
	}
	return err
}

// transaction runs operations in order in one session, replacing references to
// earlier results, and stops after the first that fails (kurento-protocol §3.3).
// Its value is the list of replies so far; nothing is rolled back.
func (c *connection) transaction(ctx context.Context, q *call) (result, error) {
	raw, ok := q.params["operations"]
	if !ok {
		return nil, kerr.New(kerr.ServerError, "'operations' parameter is required")
	}
	ops, ok := raw.([]any)
	if !ok {
		return nil, kerr.New(kerr.ServerError, "'operations' parameter should be a list")
	}
	replies := []any{}
	values := []any{}
	session := q.made()
	for i, op := range ops {
		m, _ := op.(map[string]any)
		name, ok := m["method"].(string)
		if m["jsonrpc"] != "2.0" || !ok {
			return nil, kerr.New(kerr.MalformedTransaction, "Operation %d is not a request", i)
		}
		if id, ok := m["id"].(json.Number); !ok || id.String() != strconv.Itoa(i) {
			return nil, kerr.New(kerr.MalformedTransaction, "Id of request '%d' should be '%d'", i, i)
		}
		id := json.RawMessage(strconv.Itoa(i))
		res, err := c.step(ctx, name, m["params"], session, values)
		if err != nil {
			wire, known := wireError(err)
			if !known {
				c.log.Error("request failed without a code", "method", name, "err", err)
			}
			replies = append(replies, jsonrpc.Failure(id, wire))
			break
		}
		replies = append(replies, jsonrpc.Result(id, map[string]any(res)))
		values = append(values, res["value"])
	}
	return result{"sessionId": session, "value": replies}, nil
}

func (c *connection) step(ctx context.Context, name string, params any, session string, values []any) (result, error) {
	replaced, err := replaceRefs(params, values)
	if err != nil {
		return nil, err
	}
	q := &call{sessionID: session}
	q.method, q.known = methods[name]
	switch p := replaced.(type) {
	case nil:
		q.params = map[string]any{}
	case map[string]any:
		q.params = p
	default:
		q.badParams = true
	}
	return c.run(ctx, name, q)
}

// replaceRefs copies a value with each text "newref:K" replaced by result K.
func replaceRefs(v any, values []any) (any, error) {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			r, err := replaceRefs(e, values)
			if err != nil {
				return nil, err
			}
			out[k] = r
		}
		return out, nil
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			r, err := replaceRefs(e, values)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	case string:
		ref, ok := strings.CutPrefix(x, newref)
		if !ok {
			return x, nil
		}
		k, err := strconv.Atoi(ref)
		if err != nil || k < 0 || k >= len(values) || values[k] == nil {
			return nil, kerr.New(kerr.MalformedTransaction, "Result '%s' not found", clip(ref))
		}
		return values[k], nil
	}
	return v, nil
}
