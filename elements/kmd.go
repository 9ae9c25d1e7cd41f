package elements

import (
	"reflect"
	"slices"
	"strings"
)

// Model is a module's definition in the shape of Kurento's interface files, as
// getKmd returns it.
type Model struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Classes []ModelClass  `json:"remoteClasses"`
	Types   []ModelType   `json:"complexTypes"`
	Events  []ModelRecord `json:"events"`
}

// ModelClass is one remote class.
type ModelClass struct {
	Name        string          `json:"name"`
	Doc         string          `json:"doc,omitempty"`
	Abstract    bool            `json:"abstract,omitempty"`
	Extends     string          `json:"extends,omitempty"`
	Constructor *ModelMethod    `json:"constructor,omitempty"`
	Properties  []ModelProperty `json:"properties,omitempty"`
	Methods     []ModelMethod   `json:"methods,omitempty"`
	Events      []string        `json:"events,omitempty"`
}

// ModelMethod is one operation, or a constructor (without name).
type ModelMethod struct {
	Name   string          `json:"name,omitempty"`
	Params []ModelProperty `json:"params"`
	Return *ModelReturn    `json:"return,omitempty"`
}

// ModelReturn is the type of a result.
type ModelReturn struct {
	Type string `json:"type"`
}

// ModelProperty is a property, a parameter or a field.
type ModelProperty struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	Default  any    `json:"defaultValue,omitempty"`
}

// ModelType is an enumeration or a register.
type ModelType struct {
	Name       string          `json:"name"`
	Format     string          `json:"typeFormat"`
	Values     []string        `json:"values,omitempty"`
	Properties []ModelProperty `json:"properties,omitempty"`
}

// ModelRecord is an event's own fields; those of RaiseBase (source, tags,
// timestampMillis) and Media (type) come on top.
type ModelRecord struct {
	Name       string          `json:"name"`
	Extends    string          `json:"extends,omitempty"`
	Properties []ModelProperty `json:"properties"`
}

// Model describes a module; false when no class belongs to it.
func (r *Registry) Model(module, version string) (Model, bool) {
	m := Model{Name: module, Version: version, Classes: []ModelClass{}, Types: []ModelType{}, Events: []ModelRecord{}}
	seen := map[reflect.Type]bool{}
	for _, c := range r.order {
		if c.typ.Module == module {
			m.Classes = append(m.Classes, c.model(&m, seen))
		}
	}
	slices.SortFunc(m.Types, func(a, b ModelType) int { return strings.Compare(a.Name, b.Name) })
	return m, len(m.Classes) > 0
}

func (c *Class) model(m *Model, seen map[reflect.Type]bool) ModelClass {
	out := ModelClass{Name: c.typ.Name, Doc: c.typ.Doc, Abstract: c.typ.Abstract, Extends: c.typ.Extends}
	if c.params != nil {
		out.Constructor = &ModelMethod{Params: m.params(c.params, seen)}
	}
	for i := range c.typ.Members {
		x := &c.typ.Members[i]
		if legacyMember(x) {
			continue
		}
		switch x.kind {
		case propertyMember:
			out.Properties = append(out.Properties, ModelProperty{Name: x.Name, Type: m.typ(x.result, seen), ReadOnly: x.set == nil})
		case methodMember:
			rec, err := recordOf(x.params)
			if err != nil {
				continue // refused at registration
			}
			method := ModelMethod{Name: x.Name, Params: m.params(rec, seen)}
			if x.result != noneType {
				method.Return = &ModelReturn{m.typ(x.result, seen)}
			}
			out.Methods = append(out.Methods, method)
		case eventMember:
			out.Events = append(out.Events, x.Name)
			if !slices.ContainsFunc(m.Events, func(e ModelRecord) bool { return e.Name == x.Name }) {
				m.Events = append(m.Events, ModelRecord{x.Name, x.base(), m.fields(x.result, seen)})
			}
		}
	}
	return out
}

// base is the event an event extends.
func (m *Member) base() string {
	if m.plain || m.Name == "Error" {
		return "RaiseBase"
	}
	return "Media"
}

func (m *Model) params(r *record, seen map[reflect.Type]bool) []ModelProperty {
	out := []ModelProperty{}
	for _, f := range r.fields {
		p := ModelProperty{Name: f.name, Type: m.typ(f.typ, seen), Optional: f.optional}
		if f.fallback.IsValid() {
			p.Default = Encode(f.fallback.Interface())
		}
		out = append(out, p)
	}
	return out
}

// fields lists what a struct is sent with.
func (m *Model) fields(t reflect.Type, seen map[reflect.Type]bool) []ModelProperty {
	out := []ModelProperty{}
	if t == nil || t.Kind() != reflect.Struct {
		return out
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous {
			out = append(out, m.fields(sf.Type, seen)...)
			continue
		}
		if name, _, _ := strings.Cut(sf.Tag.Get("json"), ","); name != "" && name != "-" {
			out = append(out, ModelProperty{Name: name, Type: m.typ(sf.Type, seen), Optional: sf.Type.Kind() == reflect.Pointer})
		}
	}
	return out
}

// typ is Kurento's name of a type; enumerations and registers are noted in m.
func (m *Model) typ(t reflect.Type, seen map[reflect.Type]bool) string {
	if t == objectType {
		return "MediaObject"
	}
	if t.Implements(objectType) {
		return typeName(t)
	}
	if t == rawType {
		return "JsonObject"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.typ(t.Elem(), seen)
	case reflect.Slice:
		return m.typ(t.Elem(), seen) + "[]"
	case reflect.Map:
		return m.typ(t.Elem(), seen) + "<>"
	case reflect.Interface:
		return "Stats" // the only results of mixed registers are getStats's
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "int"
	case reflect.Int64:
		return "int64"
	case reflect.Float64:
		return "double"
	case reflect.Struct:
		if !seen[t] {
			seen[t] = true
			m.Types = append(m.Types, ModelType{Name: typeName(t), Format: "REGISTER", Properties: m.fields(t, seen)})
		}
		return typeName(t)
	case reflect.String:
		if !t.Implements(enumType) {
			return "String"
		}
		if !seen[t] {
			seen[t] = true
			m.Types = append(m.Types, ModelType{Name: typeName(t), Format: "ENUM", Values: reflect.Zero(t).Interface().(Enum).Values()})
		}
		return typeName(t)
	}
	return t.String()
}
