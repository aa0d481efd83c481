package api

import (
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"contactcenter/shared/content"
)

// maxURL bounds a URL of media, in bytes.
const maxURL = 2048

// CountryList is a list of countries in a request that null takes away: nil. Of no other field is null a value.
type CountryList []string

// bind puts a value into a Go value of the generated types.
func bind(n *node, v reflect.Value, path string, errs *FieldErrors) {
	switch p := v.Addr().Interface().(type) {
	case *content.Content:
		bindContent(n, p, path, errs)
		return
	case *Time:
		bindTime(n, p, path, errs)
		return
	case *CountryList:
		if n.kind == 'n' {
			*p = nil
			return
		}
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
