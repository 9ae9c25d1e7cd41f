package elements

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Double is how Encode gives a float64: in JSON it always has a point or an
// exponent, as the original's numbers do, so that strictly typed clients read
// 30.0 and 0.5 alike.
type Double float64

// MarshalJSON writes 0.0 for what JSON has no number for.
func (d Double) MarshalJSON() ([]byte, error) {
	x := float64(d)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		x = 0
	}
	b := strconv.AppendFloat(nil, x, 'g', -1, 64)
	if !strings.ContainsAny(string(b), ".e") {
		b = append(b, '.', '0')
	}
	return b, nil
}

// Encode turns a result into plain values for encoding/json: object references
// become ids, structs become registers with __module__ and __type__, None and
// nil become null. Keys come out sorted, as the original's do.
func Encode(v any) any { return encode(reflect.ValueOf(v)) }

// EncodeFields turns an event's struct into its fields, without __type__;
// registers inside keep theirs. nil gives an empty map.
func EncodeFields(v any) map[string]any {
	out := map[string]any{}
	rv := reflect.ValueOf(v)
	for rv.IsValid() && (rv.Kind() == reflect.Pointer || rv.Kind() == reflect.Interface) {
		rv = rv.Elem()
	}
	if !rv.IsValid() {
		return out
	}
	switch rv.Kind() {
	case reflect.Struct:
		encodeStruct(rv, out)
	case reflect.Map:
		for it := rv.MapRange(); it.Next(); {
			out[it.Key().String()] = encode(it.Value())
		}
	}
	return out
}

func encode(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Map:
		if v.IsNil() {
			return nil
		}
	}
	if v.Type().Implements(objectType) {
		return v.Interface().(Object).ID()
	}
	if raw, ok := v.Interface().(json.RawMessage); ok {
		return raw
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return encode(v.Elem())
	case reflect.Struct:
		if v.Type() == noneType {
			return nil
		}
		out := map[string]any{"__module__": "kurento", "__type__": typeName(v.Type())}
		encodeStruct(v, out)
		return out
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = encode(v.Index(i))
		}
		return out
	case reflect.Map:
		if v.Len() == 0 {
			return nil // the original's empty map is null, too
		}
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = encode(it.Value())
		}
		return out
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64, reflect.Int32:
		return v.Int()
	case reflect.Uint, reflect.Uint64, reflect.Uint32:
		return v.Uint()
	case reflect.Float64:
		return Double(v.Float())
	}
	panic(fmt.Sprintf("elements: cannot encode %v", v.Type())) // refused at registration
}

func encodeStruct(v reflect.Value, out map[string]any) {
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			encodeStruct(v.Field(i), out)
			continue
		}
		name, opts, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.IsExported() || name == "" || name == "-" {
			continue
		}
		fv := v.Field(i)
		if fv.Kind() == reflect.Pointer && fv.IsNil() && !fv.Type().Implements(objectType) ||
			strings.Contains(opts, "omitempty") && fv.IsZero() {
			continue
		}
		out[name] = encode(fv)
	}
}

// encodable checks at registration what encode would stumble over.
func encodable(t reflect.Type) error {
	if t == nil || t.Implements(objectType) || t == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	switch t.Kind() {
	case reflect.Interface, reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Float64:
		return nil
	case reflect.Pointer, reflect.Slice:
		return encodable(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("map key of %v must be a string", t)
		}
		return encodable(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if err := encodable(t.Field(i).Type); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("type %v cannot be sent", t)
}
