// Package attr knows how plain Go values are written as DynamoDB attributes and read back, how a conditional update is
// put into expressions, and how the place where a list was cut becomes a page token. It knows no table.
package attr

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Item is one item of a table.
type Item = map[string]types.AttributeValue

// String writes a text. Key attributes may not be empty.
func String(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// Int writes a whole number.
func Int(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// Time writes a time to the millisecond, as a number. The zero time has no attribute: leave it out.
func Time(t time.Time) types.AttributeValue { return Int(t.UnixMilli()) }

// Strings writes a list of texts; DynamoDB's sets can't be empty.
func Strings(list []string) types.AttributeValue {
	l := &types.AttributeValueMemberL{Value: make([]types.AttributeValue, len(list))}
	for i, s := range list {
		l.Value[i] = String(s)
	}
	return l
}

// Map writes named texts.
func Map(m map[string]string) types.AttributeValue {
	v := &types.AttributeValueMemberM{Value: make(Item, len(m))}
	for k, s := range m {
		v.Value[k] = String(s)
	}
	return v
}

// Text reads a text, "" when there is none.
func Text(it Item, name string) string {
	if s, ok := it[name].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// Number reads a whole number, 0 when there is none.
func Number(it Item, name string) int64 { return NumberOf(it[name]) }

// NumberOf reads a whole number out of a value, 0 when there is none.
func NumberOf(v types.AttributeValue) int64 {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
		return i
	}
	f, err := strconv.ParseFloat(n.Value, 64) // some engines give numbers back in floating-point notation
	if err != nil {
		return 0
	}
	return int64(f)
}

// Moment reads a time, the zero time when there is none.
func Moment(it Item, name string) time.Time {
	if _, ok := it[name]; !ok {
		return time.Time{}
	}
	return time.UnixMilli(Number(it, name)).UTC()
}

// Texts reads a list of texts.
func Texts(it Item, name string) []string {
	l, ok := it[name].(*types.AttributeValueMemberL)
	if !ok {
		return nil
	}
	list := make([]string, 0, len(l.Value))
	for _, v := range l.Value {
		if s, ok := v.(*types.AttributeValueMemberS); ok {
			list = append(list, s.Value)
		}
	}
	return list
}

// TextMap reads named texts, nil when there are none.
func TextMap(it Item, name string) map[string]string {
	v, ok := it[name].(*types.AttributeValueMemberM)
	if !ok {
		return nil
	}
	m := make(map[string]string, len(v.Value))
	for k := range v.Value {
		m[k] = Text(v.Value, k)
	}
	return m
}

// JSON writes a value that is only ever read and written whole.
func JSON(v any) (types.AttributeValue, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode attribute: %w", err)
	}
	return String(string(b)), nil
}

// FromJSON reads a value that JSON wrote; a missing one leaves v as it is.
func FromJSON(it Item, name string, v any) error {
	s := Text(it, name)
	if s == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(s), v); err != nil {
		return fmt.Errorf("decode attribute %s: %w", name, err)
	}
	return nil
}

// Page asks for a part of a list. Size is at least 1; Token is "" for the first page.
type Page struct {
	Size  int
	Token string
}

// pageSize is how many entries All reads at a time.
const pageSize = 200

// All reads every page of an account's list.
func All[T any](ctx context.Context, accountID string, read func(ctx context.Context, accountID string, p Page) (list []T, next string, err error)) ([]T, error) {
	var all []T
	for p := (Page{Size: pageSize}); ; {
		list, next, err := read(ctx, accountID, p)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if p.Token = next; next == "" {
			return all, nil
		}
	}
}

// ErrToken: the page token is not one that this list gave out.
var ErrToken = errors.New("page token is not valid for this list")

// Token makes a page token of the key at which a query ended, "" when it reached the end.
func Token(last Item) (string, error) {
	if len(last) == 0 {
		return "", nil
	}
	k := make(map[string]string, len(last))
	for name := range last {
		k[name] = Text(last, name)
	}
	b, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("encode page token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Start reads a page token. Within names the value that every key of the list has, the list's own partition, so that
// a token can't lead into another list; also names every further key attribute. It returns nil for the first page, and
// ErrToken for a token that is not of this list.
func Start(token string, within map[string]string, also ...string) (Item, error) {
	if token == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, ErrToken
	}
	k := map[string]string{}
	if err := json.Unmarshal(b, &k); err != nil || len(k) != len(within)+len(also) {
		return nil, ErrToken
	}
	start := Item{}
	for name, value := range within {
		if k[name] != value {
			return nil, ErrToken
		}
		start[name] = String(value)
	}
	for _, name := range also {
		if k[name] == "" {
			return nil, ErrToken
		}
		start[name] = String(k[name])
	}
	return start, nil
}
