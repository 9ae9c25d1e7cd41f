package rest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// typeError says which parameter has the wrong JSON type. Names are ours, taken
// from struct tags, so the text echoes nothing of the request.
type typeError struct{ name, want string }

func (e *typeError) Error() string { return fmt.Sprintf("parameter %q must be %s", e.name, e.want) }

// fill copies the members of an object into the fields of *dst that carry their
// name in a json tag. Types are strict, names are compared exactly, unknown
// members are ignored and null is the same as absent (contract §1.3). An integer
// may be written with a fraction of zero.
//
// Fields: string, bool, int, int64, structs, slices of these, maps of string to
// any, and pointers to any of them; a pointer stays nil when the member is absent.
func fill(obj map[string]any, dst any) error {
	return fillStruct(obj, reflect.ValueOf(dst).Elem(), "")
}

func fillStruct(obj map[string]any, v reflect.Value, prefix string) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			if err := fillStruct(obj, v.Field(i), prefix); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		in, ok := obj[name]
		if !ok || in == nil {
			continue
		}
		if err := set(in, v.Field(i), prefix+name); err != nil {
			return err
		}
	}
	return nil
}

func set(in any, v reflect.Value, name string) error {
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := set(in, p.Elem(), name); err != nil {
			return err
		}
		v.Set(p)
	case reflect.String:
		s, ok := in.(string)
		if !ok {
			return &typeError{name, "a string"}
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := in.(bool)
		if !ok {
			return &typeError{name, "a boolean"}
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, ok := integer(in)
		if !ok || v.OverflowInt(n) {
			return &typeError{name, "an integer"}
		}
		v.SetInt(n)
	case reflect.Struct:
		m, ok := in.(map[string]any)
		if !ok {
			return &typeError{name, "an object"}
		}
		return fillStruct(m, v, name+".")
	case reflect.Map:
		m, ok := in.(map[string]any)
		if !ok {
			return &typeError{name, "an object"}
		}
		v.Set(reflect.ValueOf(m))
	case reflect.Slice:
		a, ok := in.([]any)
		if !ok {
			return &typeError{name, "an array"}
		}
		s := reflect.MakeSlice(v.Type(), len(a), len(a))
		for i, e := range a {
			if err := set(e, s.Index(i), name+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		v.Set(s)
	default:
		panic("rest: no decoding for " + v.Type().String())
	}
	return nil
}

// integer accepts 25, 25.0 and 2.5e1, and nothing that loses a digit.
func integer(in any) (int64, bool) {
	num, ok := in.(json.Number)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(num), 10, 64); err == nil {
		return n, true
	}
	const exact = 1 << 53 // beyond it a float64 skips integers
	f, err := strconv.ParseFloat(string(num), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= exact {
		return 0, false
	}
	return int64(f), true
}
