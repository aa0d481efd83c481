package api

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
)

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 256 << 10

// ReadBody reads a JSON body, at most MaxBody bytes of it.
func ReadBody(r *http.Request) ([]byte, error) { return ReadBodyOf(r, MaxBody) }

// ReadBodyOf reads a JSON body of at most limit bytes.
func ReadBodyOf(r *http.Request, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, badJSON("The body could not be read.")
	}
	if len(b) == 0 { // whatever its type is said to be
		return nil, emptyBody()
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, NewProblem(CodeUnsupportedMediaType)
	}
	if int64(len(b)) > limit {
		return nil, NewProblem(CodeRequestTooLarge).WithDetail(fmt.Sprintf("Send at most %d KiB.", limit>>10))
	}
	return b, nil
}

// DecodeJSON reads a request's body into the struct that v points to. What it does not understand exactly it refuses,
// with every field that is wrong: unknown and repeated fields, wrong types, null, empty strings, missing fields (those
// whose tag has neither omitempty nor omitzero), values outside an enumeration. Text arrives byte for byte or not at all.
func DecodeJSON(r *http.Request, v any) error {
	b, err := ReadBody(r)
	if err != nil {
		return err
	}
	return Decode(b, v)
}

// NoBody refuses a body with anything in it, for routes that take none; {} is nothing.
func NoBody(r *http.Request) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return badJSON("The body could not be read.")
	}
	if len(b) > MaxBody {
		return NewProblem(CodeRequestTooLarge)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	return Decode(b, new(struct{}))
}

// Decode is DecodeJSON for a body that was read already.
func Decode(body []byte, v any) error {
	n, errs, err := parse(body)
	if err != nil {
		return err
	}
	bind(n, reflect.ValueOf(v).Elem(), "", &errs)
	return errs.Err()
}

// DecodeEach reads a body that has one field, a list of 1 to limit values, into the values that each gives by their
// index. The problems of the values are theirs alone: problems has one for each, nil where there is none.
func DecodeEach(body []byte, field string, limit int, each func(i int) any) (problems []error, err error) {
	n, errs, err := parse(body)
	if err != nil {
		return nil, err
	}
	var top FieldErrors
	for _, e := range errs {
		if e.Field == field {
			top = append(top, e)
		}
	}
	if !want(n, '{', "an object", "", &top) {
		return nil, top.Err()
	}
	for _, m := range n.fields {
		if m.name != field {
			top.Add(m.name, FieldUnknown, "is no field of this request")
		}
	}
	list := n.get(field)
	switch {
	case list == nil:
		top.Add(field, FieldRequired, "is required")
	case want(list, '[', "a list", field, &top) && (len(list.items) == 0 || len(list.items) > limit):
		top.Add(field, FieldInvalid, fmt.Sprintf("must have 1 to %d items", limit))
	}
	if err := top.Err(); err != nil {
		return nil, err
	}
	problems = make([]error, len(list.items))
	for i, item := range list.items {
		mine := errs.within(index(field, i))
		bind(item, reflect.ValueOf(each(i)).Elem(), "", &mine)
		problems[i] = mine.Err()
	}
	return problems, nil
}

// emptyBody is the problem of a body that is not there: whatever is required is missing.
func emptyBody() error {
	var errs FieldErrors
	errs.Add("body", FieldRequired, "is empty: send a JSON object")
	return errs.Err()
}

func badJSON(detail string) error {
	return NewProblem(CodeInvalidRequest).WithStatus(http.StatusBadRequest).WithDetail(detail)
}
