package elements

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/kerr"
)

// Enum is a string type with a fixed set of values.
type Enum interface{ Values() []string }

// Named is a register value or enumeration whose Kurento name is not its Go name.
type Named interface{ KurentoType() string }

var (
	enumType  = reflect.TypeFor[Enum]()
	namedType = reflect.TypeFor[Named]()
	noneType  = reflect.TypeFor[None]()
	// rawType is a parameter that its method reads itself: a JSON object.
	rawType = reflect.TypeFor[json.RawMessage]()
)

// record is how a struct of parameters or a register value is read.
type record struct {
	typ      reflect.Type
	fields   []*field
	required int
}

// field is one parameter, property value or register field.
type field struct {
	name     string
	index    []int
	typ      reflect.Type
	optional bool
	fallback reflect.Value // of an optional one; invalid means zero
	reg      *record       // when the (pointed-to) type is a register
	elem     *field        // of lists and maps
}

// recordOf reads a struct type; None and empty structs give no fields.
func recordOf(t reflect.Type) (*record, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("parameters must be a struct, not %v", t)
	}
	r := &record{typ: t}
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			sub, err := recordOf(sf.Type)
			if err != nil {
				return nil, err
			}
			for _, f := range sub.fields {
				f.index = append([]int{i}, f.index...)
				r.fields = append(r.fields, f)
			}
			r.required += sub.required
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.IsExported() || name == "" || name == "-" {
			return nil, fmt.Errorf("field %s of %v needs to be exported and to have a json name", sf.Name, t)
		}
		def, has := sf.Tag.Lookup("default")
		f, err := fieldOf(name, sf.Type, def)
		if err != nil {
			return nil, fmt.Errorf("field %s of %v: %w", sf.Name, t, err)
		}
		f.index = []int{i}
		f.optional = f.optional || has || sf.Tag.Get("optional") == "true"
		if !f.optional {
			r.required++
		}
		r.fields = append(r.fields, f)
	}
	return r, nil
}

// fieldOf reads one type; def is the text of its default, "" for zero.
func fieldOf(name string, t reflect.Type, def string) (*field, error) {
	f := &field{name: name, typ: t}
	switch {
	case t.Implements(objectType), t == rawType:
		return f, nil
	case t.Kind() == reflect.Pointer:
		inner, err := fieldOf(name, t.Elem(), def)
		if err != nil {
			return nil, err
		}
		f.elem, f.optional = inner, true
		return f, nil
	case t.Kind() == reflect.Struct:
		reg, err := recordOf(t)
		if err != nil {
			return nil, err
		}
		f.reg = reg
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		elem, err := fieldOf(name, t.Elem(), "")
		if err != nil {
			return nil, err
		}
		f.elem = elem
	case t.Kind() == reflect.String, t.Kind() == reflect.Bool, t.Kind() == reflect.Float64,
		t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
	default:
		return nil, fmt.Errorf("type %v cannot be a parameter", t)
	}
	if def != "" {
		v, err := f.convert(json.Number(def), nil, "default")
		if t.Kind() == reflect.String {
			v, err = f.convert(def, nil, "default")
		} else if t.Kind() == reflect.Bool {
			v, err = f.convert(def, nil, "default")
		}
		if err != nil {
			return nil, fmt.Errorf("default %q: %w", def, err)
		}
		f.fallback = v
	}
	return f, nil
}

// decode fills a struct from params. role is the word in error texts; with
// stopAtGap the optional fields after the first absent one are not read, as the
// original's overloads have no holes.
func (r *record) decode(params map[string]any, resolve Resolver, role string, stopAtGap bool) (reflect.Value, error) {
	out := reflect.New(r.typ).Elem()
	gap := false
	for _, f := range r.fields {
		from := params
		if f.optional {
			if _, ok := params[f.name]; !ok {
				gap = true
			}
			if gap && stopAtGap {
				from = nil
			}
		}
		v, err := f.decode(from, resolve, role)
		if err != nil {
			return out, err
		}
		out.FieldByIndex(f.index).Set(v)
	}
	return out, nil
}

func (r *record) firstObject(v reflect.Value) Object {
	for _, f := range r.fields {
		if f.typ.Implements(objectType) {
			obj, _ := v.FieldByIndex(f.index).Interface().(Object)
			return obj
		}
	}
	return nil
}

// decode reads the field from an object that may lack it.
func (f *field) decode(params map[string]any, resolve Resolver, role string) (reflect.Value, error) {
	raw, ok := params[f.name]
	if !ok || raw == nil && f.optional {
		if !f.optional {
			return reflect.Value{}, f.wrong(role)
		}
		if f.fallback.IsValid() {
			return f.fallback, nil
		}
		return f.zero()
	}
	return f.convert(raw, resolve, role)
}

// zero is the value of an absent optional: nil pointers, registers with their
// own defaults.
func (f *field) zero() (reflect.Value, error) {
	if f.reg != nil && f.reg.required == 0 {
		return f.reg.decode(nil, nil, "property", false)
	}
	return reflect.Zero(f.typ), nil
}

func (f *field) wrong(role string) error {
	return kerr.New(kerr.MarshallError, "'%s' %s should be a %s", f.name, role, f.kindName())
}

// kindName is Kurento's word for the JSON form.
func (f *field) kindName() string {
	t := f.typ
	if t.Implements(objectType) {
		return "string"
	}
	if t == rawType {
		return "object"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return f.elem.kindName()
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer"
	case reflect.Int64:
		return "int64"
	case reflect.Float64:
		return "double"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	case reflect.Struct:
		return "object"
	}
	return "string"
}

// convert turns decoded JSON (string, bool, json.Number, nil, []any,
// map[string]any) into the field's type, with the original's leniency between
// scalars (kurento-protocol §3.1).
func (f *field) convert(raw any, resolve Resolver, role string) (reflect.Value, error) {
	if f.typ.Implements(objectType) {
		return f.reference(raw, resolve, role)
	}
	out := reflect.New(f.typ).Elem()
	if f.typ == rawType {
		return out, f.raw(raw, out, role)
	}
	switch f.typ.Kind() {
	case reflect.Pointer:
		v, err := f.elem.convert(raw, resolve, role)
		if err != nil {
			return out, err
		}
		out.Set(reflect.New(f.typ.Elem()))
		out.Elem().Set(v)
	case reflect.String:
		s, ok := Text(raw)
		if !ok {
			return out, f.wrong(role)
		}
		if f.typ.Implements(enumType) && !valid(out.Interface().(Enum), s) {
			return out, kerr.New(kerr.MarshallError, "Invalid value for '%s'", typeName(f.typ))
		}
		out.SetString(s)
	case reflect.Bool:
		b, ok := toBool(raw)
		if !ok {
			return out, f.wrong(role)
		}
		out.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, ok := toInt(raw)
		if !ok || f.typ.Kind() == reflect.Int && (n > math.MaxInt32 || n < math.MinInt32) {
			return out, f.wrong(role)
		}
		out.SetInt(n)
	case reflect.Float64:
		x, ok := toFloat(raw)
		if !ok {
			return out, f.wrong(role)
		}
		out.SetFloat(x)
	case reflect.Slice:
		list, ok := raw.([]any)
		if !ok && raw != nil {
			return out, f.wrong(role)
		}
		out.Set(reflect.MakeSlice(f.typ, 0, len(list)))
		for _, x := range list {
			v, err := f.elem.convert(x, resolve, role)
			if err != nil {
				return out, err
			}
			out.Set(reflect.Append(out, v))
		}
	case reflect.Map:
		m, ok := raw.(map[string]any)
		if !ok && raw != nil {
			return out, f.wrong(role)
		}
		out.Set(reflect.MakeMap(f.typ))
		for k, x := range m {
			v, err := f.elem.convert(x, resolve, role)
			if err != nil {
				return out, err
			}
			out.SetMapIndex(reflect.ValueOf(k).Convert(f.typ.Key()), v)
		}
	case reflect.Struct:
		m, ok := raw.(map[string]any)
		if !ok {
			return out, f.wrong(role)
		}
		if err := checkType(m, f.typ); err != nil {
			return out, err
		}
		return f.reg.decode(m, resolve, "property", false)
	}
	return out, nil
}

// raw writes a JSON object anew for its method; null is none.
func (f *field) raw(raw any, out reflect.Value, role string) error {
	if raw == nil {
		return nil
	}
	if _, ok := raw.(map[string]any); !ok {
		return f.wrong(role)
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return f.wrong(role)
	}
	out.SetBytes(text)
	return nil
}

// checkType refuses a register that names another concrete type than ours.
func checkType(m map[string]any, t reflect.Type) error {
	module, ok1 := m["__module__"].(string)
	name, ok2 := m["__type__"].(string)
	if ok1 && ok2 && (module != "kurento" || name != typeName(t)) {
		return kerr.New(kerr.UnexpectedError, "Type %.64s does not exist in module %.64s", name, module)
	}
	return nil
}

func (f *field) reference(raw any, resolve Resolver, role string) (reflect.Value, error) {
	id, ok := Text(raw)
	if !ok {
		return reflect.Value{}, f.wrong(role)
	}
	obj, err := resolve(id)
	if err != nil {
		return reflect.Value{}, err
	}
	v := reflect.ValueOf(obj)
	if !v.Type().AssignableTo(f.typ) {
		// The original fails here with an internal error, or ends (a pipeline as sink).
		return reflect.Value{}, kerr.New(kerr.MarshallError, "'%s' %s should be a %s", f.name, role, typeName(f.typ))
	}
	return v, nil
}

// typeName is the Kurento name of a Go type.
func typeName(t reflect.Type) string {
	if t.Implements(namedType) && t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer {
		return reflect.Zero(t).Interface().(Named).KurentoType()
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[Element]() {
		return "MediaElement"
	}
	return t.Name()
}

func valid(e Enum, s string) bool {
	for _, v := range e.Values() {
		if v == s {
			return true
		}
	}
	return false
}

// Text is a decoded JSON value (numbers as json.Number) as text, with the
// original's leniency: numbers, booleans and null have a text, objects and lists none.
func Text(raw any) (string, bool) {
	switch v := raw.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "", true
	}
	return "", false
}

func toBool(raw any) (value, ok bool) {
	switch v := raw.(type) {
	case bool:
		return v, true
	case json.Number:
		x, err := v.Float64()
		return x != 0, err == nil
	case string:
		return v == "true", v == "true" || v == "false"
	case nil:
		return false, true
	}
	return false, false
}

func toInt(raw any) (int64, bool) {
	switch v := raw.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, true
		}
		x, err := v.Float64()
		return int64(x), err == nil && x > -1<<62 && x < 1<<62
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case nil:
		return 0, true
	}
	return 0, false
}

func toFloat(raw any) (float64, bool) {
	switch v := raw.(type) {
	case json.Number:
		x, err := v.Float64()
		return x, err == nil
	case string:
		x, err := strconv.ParseFloat(v, 64)
		return x, err == nil
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case nil:
		return 0, true
	}
	return 0, false
}
