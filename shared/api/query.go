package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"contactcenter/shared/attr"
)

// Pages, as the contract bounds them.
const (
	DefaultPageSize = 50
	MaxPageSize     = 200
)

// Query is a request's query, of which only the parameters that the route names may be there, each once.
type Query struct {
	values url.Values
	errs   FieldErrors
}

// ReadQuery reads the query. Parameters other than the named ones, page_size and page_token are refused.
func ReadQuery(r *http.Request, names ...string) *Query {
	q := &Query{}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.errs.Add("query", FieldInvalid, "can't be read")
	}
	names = append([]string{"page_size", "page_token"}, names...)
	keys := make([]string, 0, len(q.values))
	for k := range q.values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		switch v := q.values[k]; {
		case !slices.Contains(names, k):
			q.errs.Add(k, FieldUnknown, "is no parameter of this route")
		case len(v) > 1:
			q.errs.Add(k, FieldDuplicate, "is there more than once")
		case v[0] == "":
			q.errs.Add(k, FieldInvalid, "must not be empty")
		case !utf8.ValidString(v[0]):
			q.errs.Add(k, FieldInvalid, "is not valid UTF-8")
		}
	}
	return q
}

// Get gives a parameter, or "" when it is not there.
func (q *Query) Get(name string) string { return q.values.Get(name) }

// Invalid notes what is wrong with a parameter.
func (q *Query) Invalid(name, detail string) { q.errs.Add(name, FieldInvalid, detail) }

// Flag gives a parameter that is true or false; one that is not given is false.
func (q *Query) Flag(name string) bool {
	v := q.values.Get(name)
	if v != "" && v != "true" && v != "false" {
		q.Invalid(name, "must be true or false")
	}
	return v == "true"
}

// Page gives the page that is asked for.
func (q *Query) Page() attr.Page {
	p := attr.Page{Size: DefaultPageSize, Token: q.values.Get("page_token")}
	if s := q.values.Get("page_size"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > MaxPageSize || strconv.Itoa(n) != s {
			q.errs.Add("page_size", FieldInvalid, "must be a whole number from 1 to 200")
		}
		p.Size = n
	}
	return p
}

// OnlyToken gives the page token of a route whose pages have no size that could be asked for.
func (q *Query) OnlyToken() string {
	if q.values.Has("page_size") {
		q.errs.Add("page_size", FieldUnknown, "is no parameter of this route")
	}
	return q.values.Get("page_token")
}

// ReadPage reads the query of a list that has no other parameters.
func ReadPage(r *http.Request) (attr.Page, error) {
	q := ReadQuery(r)
	return q.Page(), q.Err()
}

// Err gives the problem of the query, or nil.
func (q *Query) Err() error { return q.errs.Err() }

// BadPageToken is the answer to a page token that the list did not give out.
func BadPageToken() error {
	var e FieldErrors
	e.Add("page_token", FieldInvalid, "is not a next_page_token of this list")
	return e.Err()
}

// ListProblem says why a list can't be read: its page token is not one that it gave out, or it can't be read at present.
func ListProblem(r *http.Request, err error) error {
	if errors.Is(err, attr.ErrToken) {
		return BadPageToken()
	}
	return TryAgain(r, err)
}
