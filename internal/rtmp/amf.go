package rtmp

import (
	"encoding/binary"
	"errors"
	"math"
)

// AMF 0 (Action Message Format, version 0): the values of commands.
const (
	amfNumber     = 0
	amfBoolean    = 1
	amfString     = 2
	amfObject     = 3
	amfNull       = 5
	amfUndefined  = 6
	amfECMAArray  = 8
	amfObjectEnd  = 9
	amfStrict     = 10
	amfDate       = 11
	amfLongString = 12

	// maxDepth and maxValues bound what a server's answer makes us build.
	maxDepth  = 8
	maxValues = 512
)

var errAMF = errors.New("malformed AMF value")

// pair is a field of an object; objects keep their order.
type pair struct {
	name  string
	value any
}

// object is an AMF object, list (an ECMA array) the same with a count before it.
type (
	object []pair
	list   []pair
)

// appendAMF writes string, float64, bool, nil, object and list.
func appendAMF(b []byte, values ...any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, amfNumber), math.Float64bits(v))
		case bool:
			one := byte(0)
			if v {
				one = 1
			}
			b = append(b, amfBoolean, one)
		case string:
			if len(v) > math.MaxUint16 {
				b = binary.BigEndian.AppendUint32(append(b, amfLongString), uint32(len(v)))
				b = append(b, v...)
				continue
			}
			b = appendName(append(b, amfString), v)
		case object:
			b = appendFields(append(b, amfObject), v)
		case list:
			b = binary.BigEndian.AppendUint32(append(b, amfECMAArray), uint32(len(v)))
			b = appendFields(b, v)
		default:
			b = append(b, amfNull)
		}
	}
	return b
}

func appendName(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendFields(b []byte, fields []pair) []byte {
	for _, f := range fields {
		b = appendAMF(appendName(b, f.name), f.value)
	}
	return append(b, 0, 0, amfObjectEnd)
}

// parseAMF reads all values of a message: string, float64, bool, nil, map[string]any
// and []any.
func parseAMF(b []byte) ([]any, error) {
	p := parser{b: b}
	var out []any
	for len(p.b) > 0 {
		v, err := p.value(0)
		if err != nil {
			return out, err
		}
		out = append(out, v)
	}
	return out, nil
}

type parser struct {
	b []byte
	n int // values read
}

func (p *parser) take(n int) ([]byte, error) {
	if n < 0 || n > len(p.b) {
		return nil, errAMF
	}
	out := p.b[:n]
	p.b = p.b[n:]
	return out, nil
}

func (p *parser) uint(n int) (v int, err error) {
	b, err := p.take(n)
	for _, x := range b {
		v = v<<8 | int(x)
	}
	return v, err
}

func (p *parser) text(width int) (string, error) {
	n, err := p.uint(width)
	if err != nil {
		return "", err
	}
	b, err := p.take(n)
	return string(b), err
}

func (p *parser) number() (float64, error) {
	b, err := p.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (p *parser) value(depth int) (any, error) {
	if p.n++; depth > maxDepth || p.n > maxValues {
		return nil, errAMF
	}
	typ, err := p.uint(1)
	if err != nil {
		return nil, err
	}
	switch typ {
	case amfNumber:
		return p.number()
	case amfBoolean:
		v, err := p.uint(1)
		return v != 0, err
	case amfString:
		return p.text(2)
	case amfLongString:
		return p.text(4)
	case amfNull, amfUndefined:
		return nil, nil
	case amfDate:
		v, err := p.number()
		if err != nil {
			return nil, err
		}
		_, err = p.take(2)
		return v, err
	case amfECMAArray:
		if _, err := p.take(4); err != nil {
			return nil, err
		}
		return p.fields(depth)
	case amfObject:
		return p.fields(depth)
	case amfStrict:
		n, err := p.uint(4)
		if err != nil || n > maxValues {
			return nil, errAMF
		}
		var out []any
		for range n {
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	return nil, errAMF
}

func (p *parser) fields(depth int) (any, error) {
	out := map[string]any{}
	for {
		name, err := p.text(2)
		if err != nil {
			return nil, err
		}
		if name == "" && len(p.b) > 0 && p.b[0] == amfObjectEnd {
			p.b = p.b[1:]
			return out, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
}
