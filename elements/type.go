package elements

import (
	"context"
	"fmt"
	"reflect"
)

// Type describes one class of remote objects: what it is called, what it
// inherits and what can be done with it.
type Type struct {
	// Name is the bare Kurento name ("PassThrough"); the qualified one is "kurento." + Name.
	Name string
	// Extends is the bare name of the parent class; "" only for MediaObject.
	Extends string
	// Module is core, elements or filters, as getInfo groups them.
	Module string
	// Doc is one or two sentences for the generated manual.
	Doc string
	// Abstract types cannot be created; they lend their members to others.
	Abstract bool
	// New makes an object; the zero Constructor means the type cannot be created.
	New Constructor
	// Members are the type's own methods, properties and events; a member of
	// the same name in a descendant wins over an ancestor's.
	Members []Member
}

// None is the parameter or result of an operation that has none.
type None struct{}

// Constructor makes objects of one Type. Build it with New.
type Constructor struct {
	object reflect.Type
	params reflect.Type
	build  func(ctx context.Context, env Env, params any) (Object, error)
}

// New describes a constructor. P is a struct of the constructor's parameters,
// in Kurento's order (see Method for its fields); its first object reference is
// the new object's parent. ctx bounds the call, not the object: that lives
// until Close. A constructor that fails closes what it had made.
func New[E Object, P any](f func(ctx context.Context, env Env, p P) (E, error)) Constructor {
	return Constructor{
		object: reflect.TypeFor[E](),
		params: reflect.TypeFor[P](),
		build: func(ctx context.Context, env Env, params any) (Object, error) {
			obj, err := f(ctx, env, params.(P))
			if err != nil {
				return nil, err
			}
			return obj, nil
		},
	}
}

type memberKind uint8

const (
	methodMember memberKind = iota + 1
	propertyMember
	eventMember
)

// Member is one method, property or event of a Type. Build it with Method,
// Property or Event.
type Member struct {
	// Name is the Kurento name, with its first letter as Kurento writes it.
	Name   string
	kind   memberKind
	owner  reflect.Type // what get, set and call need the object to be
	params reflect.Type // method: struct or None
	result reflect.Type // method: result; property: value; event: fields
	call   func(ctx context.Context, obj Object, params any) (any, error)
	set    func(obj Object, value any) error
	// plain events carry no "type" field of their own (ObjectCreated, ObjectDestroyed).
	plain bool
}

// Method describes one remote operation; the three types are inferred from f,
// which is usually a method expression: Method("processOffer", (*Endpoint).ProcessOffer).
//
// E is a concrete pointer or an interface (ancestors' members use interfaces).
// P is None or a struct whose fields are the parameters in Kurento's order:
// `json:"name"` names it, `default:"text"` or a pointer type makes it optional,
// a string type with Values() []string is an enumeration, a struct is a register
// value, and an interface or pointer type that implements Object is a reference
// by id. R is encoded likewise; None gives null. Operations may run
// concurrently with each other and with Close.
func Method[E, P, R any](name string, f func(E, context.Context, P) (R, error)) Member {
	return Member{
		Name: name, kind: methodMember,
		owner: reflect.TypeFor[E](), params: reflect.TypeFor[P](), result: reflect.TypeFor[R](),
		call: func(ctx context.Context, obj Object, params any) (any, error) {
			return f(any(obj).(E), ctx, params.(P))
		},
	}
}

// Property describes a remote property, read by get + Name and written by
// set + Name (first letter raised). A nil set makes it read-only.
func Property[E, V any](name string, get func(E) V, set func(E, V) error) Member {
	m := Member{
		Name: name, kind: propertyMember,
		owner: reflect.TypeFor[E](), result: reflect.TypeFor[V](),
		call: func(_ context.Context, obj Object, _ any) (any, error) {
			return get(any(obj).(E)), nil
		},
	}
	if set != nil {
		m.set = func(obj Object, value any) error { return set(any(obj).(E), value.(V)) }
	}
	return m
}

// Event describes an event; V is the struct of its own fields (None when it has
// none), beside source, tags, timestampMillis and type, which Emit adds.
func Event[V any](name string) Member {
	return Member{Name: name, kind: eventMember, result: reflect.TypeFor[V]()}
}

// PlainEvent is an Event without a "type" field in its data, as ObjectCreated is.
func PlainEvent[V any](name string) Member {
	m := Event[V](name)
	m.plain = true
	return m
}

// String describes the member for logs and test failures.
func (m Member) String() string {
	return fmt.Sprintf("%s(%v) %v", m.Name, m.params, m.result)
}
