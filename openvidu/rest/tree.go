package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of a request body, checked before anything is made of it.
const (
	maxBodyBytes = 1 << 20
	maxDepth     = 32
	maxKeys      = 1000
	maxElements  = 10_000
)

var errNotJSON = errors.New("body is not valid JSON")

// parseObject reads one JSON object into plain values: map[string]any, []any,
// string, bool, json.Number and nil. An empty body is an empty object. Depth,
// keys per object and elements per array are bounded while reading, so a hostile
// body costs no more than its own size.
func parseObject(body []byte) (map[string]any, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("body must be a JSON object")
	}
	return m, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errNotJSON
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth++; depth > maxDepth {
		return nil, fmt.Errorf("body is nested deeper than %d levels", maxDepth)
	}
	switch delim {
	case '{':
		return parseMembers(d, depth)
	case '[':
		return parseElements(d, depth)
	}
	return nil, errNotJSON
}

func parseMembers(d *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for n := 0; d.More(); n++ {
		if n == maxKeys {
			return nil, fmt.Errorf("an object of the body has more than %d keys", maxKeys)
		}
		t, err := d.Token()
		if err != nil {
			return nil, errNotJSON
		}
		key, ok := t.(string)
		if !ok {
			return nil, errNotJSON
		}
		if m[key], err = parseValue(d, depth); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotJSON
	}
	return m, nil
}

func parseElements(d *json.Decoder, depth int) (any, error) {
	a := []any{}
	for d.More() {
		if len(a) == maxElements {
			return nil, fmt.Errorf("an array of the body has more than %d elements", maxElements)
		}
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotJSON
	}
	return a, nil
}
