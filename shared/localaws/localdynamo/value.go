package localdynamo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// item is an item or a part of one. Stored items are never changed, only replaced, so they can be read without a lock.
type item map[string]types.AttributeValue

type (
	textValue   = types.AttributeValueMemberS
	numberValue = types.AttributeValueMemberN
	binaryValue = types.AttributeValueMemberB
	boolValue   = types.AttributeValueMemberBOOL
	nullValue   = types.AttributeValueMemberNULL
	mapValue    = types.AttributeValueMemberM
	listValue   = types.AttributeValueMemberL
	textSet     = types.AttributeValueMemberSS
	numberSet   = types.AttributeValueMemberNS
	binarySet   = types.AttributeValueMemberBS
)

// wireValue is an attribute value as it travels: an object with one member, named for the type.
type wireValue struct {
	S    *string
	N    *string
	B    *[]byte
	BOOL *bool
	NULL *bool
	M    *map[string]wireValue
	L    *[]wireValue
	SS   *[]string
	NS   *[]string
	BS   *[][]byte
}

func (w wireValue) value() (types.AttributeValue, error) {
	var out []types.AttributeValue
	if w.S != nil {
		out = append(out, &textValue{Value: *w.S})
	}
	if w.B != nil {
		out = append(out, &binaryValue{Value: *w.B})
	}
	if w.BOOL != nil {
		out = append(out, &boolValue{Value: *w.BOOL})
	}
	if w.NULL != nil {
		out = append(out, &nullValue{Value: *w.NULL})
	}
	for _, read := range []func() (types.AttributeValue, error){w.number, w.document, w.set} {
		v, err := read()
		if err != nil {
			return nil, err
		}
		if v != nil {
			out = append(out, v)
		}
	}
	if len(out) != 1 {
		return nil, invalid("Supplied AttributeValue is empty or has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	return out[0], nil
}

func (w wireValue) number() (types.AttributeValue, error) {
	if w.N == nil {
		return nil, nil
	}
	n, err := parseNumber(*w.N)
	if err != nil {
		return nil, err
	}
	return &numberValue{Value: n.String()}, nil
}

func (w wireValue) document() (types.AttributeValue, error) {
	if w.M != nil {
		m := make(map[string]types.AttributeValue, len(*w.M))
		for name, e := range *w.M {
			v, err := e.value()
			if err != nil {
				return nil, err
			}
			m[name] = v
		}
		return &mapValue{Value: m}, nil
	}
	if w.L == nil {
		return nil, nil
	}
	l := make([]types.AttributeValue, len(*w.L))
	for i, e := range *w.L {
		v, err := e.value()
		if err != nil {
			return nil, err
		}
		l[i] = v
	}
	return &listValue{Value: l}, nil
}

func (w wireValue) set() (types.AttributeValue, error) {
	var v types.AttributeValue
	var members []string
	switch {
	case w.SS != nil:
		members = *w.SS
		v = &textSet{Value: members}
	case w.NS != nil:
		for _, s := range *w.NS {
			n, err := parseNumber(s)
			if err != nil {
				return nil, err
			}
			members = append(members, n.String())
		}
		v = &numberSet{Value: members}
	case w.BS != nil:
		for _, b := range *w.BS {
			members = append(members, string(b))
		}
		v = &binarySet{Value: *w.BS}
	default:
		return nil, nil
	}
	if len(members) == 0 {
		return nil, invalid("One or more parameter values were invalid: An string set  may not be empty")
	}
	sorted := slices.Sorted(slices.Values(members))
	if len(slices.Compact(sorted)) != len(members) {
		return nil, invalid("One or more parameter values were invalid: Input collection contains duplicates")
	}
	return v, nil
}

func (it *item) UnmarshalJSON(b []byte) error {
	var wire map[string]wireValue
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	if wire == nil {
		return nil
	}
	*it = make(item, len(wire))
	for name, w := range wire {
		v, err := w.value()
		if err != nil {
			return err
		}
		(*it)[name] = v
	}
	return nil
}

func (it item) MarshalJSON() ([]byte, error) { return appendItem(nil, it), nil }

func appendItem(b []byte, it map[string]types.AttributeValue) []byte {
	b = append(b, '{')
	first := true
	for name, v := range it {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendText(b, name)
		b = append(b, ':')
		b = appendValue(b, v)
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string can't fail
	return append(b, quoted...)
}

func appendList[T any](b []byte, list []T, each func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = each(b, e)
	}
	return append(b, ']')
}

func appendBytes(b, raw []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, raw)
	return append(b, '"')
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

func appendValue(b []byte, v types.AttributeValue) []byte {
	b = append(b, `{"`...)
	b = append(b, typeName(v)...)
	b = append(b, `":`...)
	switch v := v.(type) {
	case *textValue:
		b = appendText(b, v.Value)
	case *numberValue:
		b = appendText(b, v.Value)
	case *binaryValue:
		b = appendBytes(b, v.Value)
	case *boolValue:
		b = appendBool(b, v.Value)
	case *nullValue:
		b = appendBool(b, v.Value)
	case *mapValue:
		b = appendItem(b, v.Value)
	case *listValue:
		b = appendList(b, v.Value, appendValue)
	case *textSet:
		b = appendList(b, v.Value, appendText)
	case *numberSet:
		b = appendList(b, v.Value, appendText)
	case *binarySet:
		b = appendList(b, v.Value, appendBytes)
	}
	return append(b, '}')
}

func typeName(v types.AttributeValue) string {
	switch v.(type) {
	case *textValue:
		return "S"
	case *numberValue:
		return "N"
	case *binaryValue:
		return "B"
	case *boolValue:
		return "BOOL"
	case *nullValue:
		return "NULL"
	case *mapValue:
		return "M"
	case *listValue:
		return "L"
	case *textSet:
		return "SS"
	case *numberSet:
		return "NS"
	case *binarySet:
		return "BS"
	}
	return ""
}

// copied is a value that shares nothing that an update changes.
func copied(v types.AttributeValue) types.AttributeValue {
	switch v := v.(type) {
	case *mapValue:
		return &mapValue{Value: copiedItem(v.Value)}
	case *listValue:
		out := make([]types.AttributeValue, len(v.Value))
		for i, e := range v.Value {
			out[i] = copied(e)
		}
		return &listValue{Value: out}
	}
	return v
}

func copiedItem(it map[string]types.AttributeValue) item {
	out := make(item, len(it))
	for name, v := range it {
		out[name] = copied(v)
	}
	return out
}

// compare orders two scalars of one type; ok is false for anything else.
func compare(a, b types.AttributeValue) (order int, ok bool) {
	switch a := a.(type) {
	case *textValue:
		if b, same := b.(*textValue); same {
			return strings.Compare(a.Value, b.Value), true
		}
	case *numberValue:
		if b, same := b.(*numberValue); same {
			return mustNumber(a.Value).compare(mustNumber(b.Value)), true
		}
	case *binaryValue:
		if b, same := b.(*binaryValue); same {
			return bytes.Compare(a.Value, b.Value), true
		}
	}
	return 0, false
}

// mustNumber parses a number that was checked when it came in.
func mustNumber(s string) number {
	n, err := parseNumber(s)
	if err != nil {
		panic("localdynamo: a stored number is not one: " + s)
	}
	return n
}

func equal(a, b types.AttributeValue) bool {
	if a == nil || b == nil || typeName(a) != typeName(b) {
		return false
	}
	switch a := a.(type) {
	case *boolValue:
		other, ok := b.(*boolValue)
		return ok && a.Value == other.Value
	case *nullValue:
		return true
	case *mapValue:
		other, ok := b.(*mapValue)
		return ok && equalItems(a.Value, other.Value)
	case *listValue:
		other, ok := b.(*listValue)
		return ok && slices.EqualFunc(a.Value, other.Value, equal)
	}
	if x, set := members(a); set {
		y, _ := members(b)
		slices.Sort(x)
		slices.Sort(y)
		return slices.Equal(x, y)
	}
	order, ok := compare(a, b)
	return ok && order == 0
}

func equalItems(a, b map[string]types.AttributeValue) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range a {
		if !equal(v, b[name]) {
			return false
		}
	}
	return true
}

// members returns a copy of a set's elements as text; numbers are in their one form already.
func members(v types.AttributeValue) ([]string, bool) {
	switch v := v.(type) {
	case *textSet:
		return slices.Clone(v.Value), true
	case *numberSet:
		return slices.Clone(v.Value), true
	case *binarySet:
		out := make([]string, len(v.Value))
		for i, b := range v.Value {
			out[i] = string(b)
		}
		return out, true
	}
	return nil, false
}

// setLike returns a set of the same type as v with the elements, or nil when there are none.
func setLike(v types.AttributeValue, elements []string) types.AttributeValue {
	if len(elements) == 0 {
		return nil
	}
	switch v.(type) {
	case *textSet:
		return &textSet{Value: elements}
	case *numberSet:
		return &numberSet{Value: elements}
	}
	out := make([][]byte, len(elements))
	for i, s := range elements {
		out[i] = []byte(s)
	}
	return &binarySet{Value: out}
}
