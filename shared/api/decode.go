package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/content"
)

const (
	// MaxBody is the largest request body that is read, in bytes.
	MaxBody = 256 << 10
	// maxURL bounds a URL of media, in bytes.
	maxURL = 2048
	// maxDepth bounds how deep a body may nest; our own requests need four levels.
	maxDepth = 32
)

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

// node is one value of a JSON document.
type node struct {
	// kind is '{', '[', '"', '0', 't' or 'n'.
	kind   byte
	text   string // of strings and numbers
	truth  bool
	items  []*node
	fields []member
}

type member struct {
	name  string
	value *node
}

func (n *node) get(name string) *node {
	for _, m := range n.fields {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parse reads a JSON document without losing anything: encoding/json would replace what is not UTF-8 and keep the last
// of repeated fields.
func parse(body []byte) (*node, FieldErrors, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil, emptyBody()
	}
	if !utf8.Valid(body) {
		return nil, nil, NewProblem(CodeInvalidRequest).WithDetail("The body is not valid UTF-8. It is not repaired: that would change the message.")
	}
	if !json.Valid(body) {
		var syntax *json.SyntaxError
		var raw json.RawMessage
		if err := json.Unmarshal(body, &raw); errors.As(err, &syntax) {
			return nil, nil, badJSON(fmt.Sprintf("The body is not one valid JSON value: see byte %d.", syntax.Offset))
		}
		return nil, nil, badJSON("The body is not one valid JSON value.")
	}
	if at := loneSurrogate(body); at >= 0 {
		return nil, nil, NewProblem(CodeInvalidRequest).WithDetail(fmt.Sprintf("The escape at byte %d is half a surrogate pair, which is no character. It is not repaired: that would change the message.", at))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var errs FieldErrors
	n, err := value(d, "", 0, &errs)
	if err != nil {
		return nil, nil, err
	}
	return n, errs, nil
}

func value(d *json.Decoder, path string, depth int, errs *FieldErrors) (*node, error) {
	if depth > maxDepth {
		return nil, NewProblem(CodeInvalidRequest).WithDetail("The body nests too deep.")
	}
	tok, err := d.Token()
	if err != nil {
		return nil, badJSON("The body is not valid JSON.")
	}
	switch t := tok.(type) {
	case string:
		return &node{kind: '"', text: t}, nil
	case json.Number:
		return &node{kind: '0', text: t.String()}, nil
	case bool:
		return &node{kind: 't', truth: t}, nil
	case json.Delim:
		if t == '{' {
			return object(d, path, depth, errs)
		}
		return array(d, path, depth, errs)
	default:
		return &node{kind: 'n'}, nil
	}
}

func object(d *json.Decoder, path string, depth int, errs *FieldErrors) (*node, error) {
	n := &node{kind: '{'}
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, badJSON("The body is not valid JSON.")
		}
		name, _ := tok.(string)
		v, err := value(d, join(path, name), depth+1, errs)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			errs.Add(join(path, name), FieldDuplicate, "is there more than once")
			continue
		}
		seen[name] = true
		n.fields = append(n.fields, member{name, v})
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON("The body is not valid JSON.")
	}
	return n, nil
}

func array(d *json.Decoder, path string, depth int, errs *FieldErrors) (*node, error) {
	n := &node{kind: '['}
	for d.More() {
		v, err := value(d, index(path, len(n.items)), depth+1, errs)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON("The body is not valid JSON.")
	}
	return n, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// loneSurrogate gives the offset of a \u escape that is half a pair, in valid JSON; -1: there is none.
func loneSurrogate(b []byte) int {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if b[i+1] != 'u' {
			i++
			continue
		}
		u := escape(b[i:])
		switch {
		case u >= 0xdc00 && u <= 0xdfff:
			return i
		case u >= 0xd800 && u <= 0xdbff:
			if low := escape(b[i+6:]); low < 0xdc00 || low > 0xdfff {
				return i
			}
			i += 6
		}
		i += 5
	}
	return -1
}

// escape reads the \uXXXX at the beginning of b, or gives -1.
func escape(b []byte) int64 {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	u, err := strconv.ParseInt(string(b[2:6]), 16, 32)
	if err != nil {
		return -1
	}
	return u
}

// bind puts a value into a Go value of the generated types.
func bind(n *node, v reflect.Value, path string, errs *FieldErrors) {
	switch p := v.Addr().Interface().(type) {
	case *content.Content:
		bindContent(n, p, path, errs)
		return
	case *Time:
		bindTime(n, p, path, errs)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		bind(n, p.Elem(), path, errs)
		v.Set(p)
	case reflect.Struct:
		bindStruct(n, v, path, errs)
	case reflect.String:
		bindString(n, v, path, errs)
	case reflect.Bool:
		if want(n, 't', "true or false", path, errs) {
			v.SetBool(n.truth)
		}
	case reflect.Int, reflect.Int64:
		bindInt(n, v, path, errs)
	case reflect.Float64:
		bindFloat(n, v, path, errs)
	case reflect.Slice:
		if !want(n, '[', "a list", path, errs) {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
		for i, item := range n.items {
			bind(item, v.Index(i), index(path, i), errs)
		}
	case reflect.Map:
		bindMap(n, v, path, errs)
	default:
		panic("decode: type " + v.Type().String() + " is not provided for")
	}
}

func want(n *node, kind byte, what, path string, errs *FieldErrors) bool {
	if n.kind == kind {
		return true
	}
	detail := "must be " + what
	if n.kind == 'n' {
		detail += ", or left out"
	}
	if path == "" {
		path, detail = "body", "must be "+what
	}
	errs.Add(path, FieldWrongType, detail)
	return false
}

func bindStruct(n *node, v reflect.Value, path string, errs *FieldErrors) {
	if !want(n, '{', "an object", path, errs) {
		return
	}
	known := map[string]bool{}
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		known[name] = true
		value := n.get(name)
		switch {
		case value != nil:
			bind(value, v.Field(i), join(path, name), errs)
		case options == "":
			errs.Add(join(path, name), FieldRequired, "is required")
		}
	}
	for _, m := range n.fields {
		if !known[m.name] {
			errs.Add(join(path, m.name), FieldUnknown, "is no field of this request")
		}
	}
}

func bindString(n *node, v reflect.Value, path string, errs *FieldErrors) {
	if !want(n, '"', "a string", path, errs) {
		return
	}
	if n.text == "" {
		errs.Add(path, FieldInvalid, "must not be empty")
		return
	}
	v.SetString(n.text)
	if e, ok := v.Interface().(interface{ Valid() bool }); ok && !e.Valid() {
		errs.Add(path, FieldInvalid, "is none of the values that the documentation lists")
	}
}

func bindInt(n *node, v reflect.Value, path string, errs *FieldErrors) {
	if !want(n, '0', "a whole number", path, errs) {
		return
	}
	i, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil || v.OverflowInt(i) {
		errs.Add(path, FieldWrongType, "must be a whole number")
		return
	}
	v.SetInt(i)
}

func bindFloat(n *node, v reflect.Value, path string, errs *FieldErrors) {
	if !want(n, '0', "a number", path, errs) {
		return
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(f, 0) {
		errs.Add(path, FieldInvalid, "is out of range")
		return
	}
	v.SetFloat(f)
}

func bindMap(n *node, v reflect.Value, path string, errs *FieldErrors) {
	if !want(n, '{', "an object", path, errs) {
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.fields))
	for _, f := range n.fields {
		if !want(f.value, '"', "a string", join(path, f.name), errs) {
			continue
		}
		m.SetMapIndex(reflect.ValueOf(f.name), reflect.ValueOf(f.value.text))
	}
	v.Set(m)
}

func bindTime(n *node, t *Time, path string, errs *FieldErrors) {
	if !want(n, '"', "a time in RFC 3339", path, errs) {
		return
	}
	at, err := parseTime(n.text)
	if err != nil {
		errs.Add(path, FieldInvalid, "must be a time in RFC 3339, for example 2026-12-01T10:00:00.000Z")
		return
	}
	*t = at
}

// bindContent reads a message's content. Members that may be left out may not be empty: the content's hash is over
// what is there.
func bindContent(n *node, c *content.Content, path string, errs *FieldErrors) {
	if !want(n, '{', "an object", path, errs) {
		return
	}
	t := n.get("type")
	if t == nil {
		errs.Add(join(path, "type"), FieldRequired, "is required")
		return
	}
	if !want(t, '"', "a string", join(path, "type"), errs) {
		return
	}
	rest := &node{kind: '{'}
	for _, m := range n.fields {
		if m.name != "type" {
			rest.fields = append(rest.fields, m)
		}
	}
	c.Type = content.Type(t.text)
	switch c.Type {
	case content.TypeText:
		var v struct {
			Text string `json:"text"`
		}
		bindStruct(rest, reflect.ValueOf(&v).Elem(), path, errs)
		c.Text = v.Text
	case content.TypeTemplate:
		c.Template = new(content.Template)
		bindStruct(rest, reflect.ValueOf(c.Template).Elem(), path, errs)
		if v := rest.get("variables"); v != nil && v.kind == '{' && len(v.fields) == 0 {
			errs.Add(join(path, "variables"), FieldInvalid, "must not be empty: leave it out when there are none")
		}
	case content.TypeLocation:
		c.Location = new(content.Location)
		bindStruct(rest, reflect.ValueOf(c.Location).Elem(), path, errs)
		within(c.Location.Latitude, 90, join(path, "latitude"), errs)
		within(c.Location.Longitude, 180, join(path, "longitude"), errs)
	case content.TypeMedia:
		c.Media = bindMedia(rest, path, errs)
	case content.TypeInteractive:
		c.Interactive = new(content.Interactive)
		bindStruct(rest, reflect.ValueOf(c.Interactive).Elem(), path, errs)
		// An empty list is not what its absence is, and the hash is over what is there.
		if v := rest.get("buttons"); v != nil && v.kind == '[' && len(v.items) == 0 {
			errs.Add(join(path, "buttons"), FieldInvalid, "must not be empty: leave it out when there is a list")
		}
	case content.TypeEmail:
		c.Email = bindEmail(rest, path, errs)
	default:
		errs.Add(join(path, "type"), FieldInvalid, "must be text, template, location, media, interactive or email")
	}
}

// bindMedia reads what is sent by reference: its URL is one that the provider can fetch from.
func bindMedia(n *node, path string, errs *FieldErrors) *content.Media {
	var v struct {
		Kind     string `json:"kind"`
		URL      string `json:"url"`
		Filename string `json:"filename,omitempty"`
		Caption  string `json:"caption,omitempty"`
	}
	bindStruct(n, reflect.ValueOf(&v).Elem(), path, errs)
	if v.Kind != "" && !slices.Contains([]string{content.Image, content.Video, content.Audio, content.Document}, v.Kind) {
		errs.Add(join(path, "kind"), FieldInvalid, "must be image, video, audio or document")
	}
	if v.URL != "" {
		u, err := url.Parse(v.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(v.URL) > maxURL {
			errs.Add(join(path, "url"), FieldInvalid, fmt.Sprintf("must be an http or https URL of at most %d bytes, without a user", maxURL))
		}
	}
	return &content.Media{Kind: v.Kind, URL: v.URL, Filename: v.Filename, Caption: v.Caption}
}

func bindEmail(n *node, path string, errs *FieldErrors) *content.Email {
	var v struct {
		Subject string `json:"subject"`
		Text    string `json:"text,omitempty"`
		HTML    string `json:"html,omitempty"`
	}
	bindStruct(n, reflect.ValueOf(&v).Elem(), path, errs)
	if n.get("text") == nil && n.get("html") == nil {
		errs.Add(join(path, "text"), FieldRequired, "is required, unless html is given")
	}
	return &content.Email{Subject: v.Subject, Text: v.Text, HTML: v.HTML}
}

func within(f, bound float64, path string, errs *FieldErrors) {
	if f < -bound || f > bound {
		errs.Add(path, FieldInvalid, fmt.Sprintf("must lie between -%g and %g", bound, bound))
	}
}
