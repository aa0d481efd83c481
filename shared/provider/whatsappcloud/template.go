package whatsappcloud

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// template is what a template message names and fills in.
type template struct {
	Name       string      `json:"name"`
	Language   language    `json:"language"`
	Components []component `json:"components,omitempty"`
}

type language struct {
	// Policy has one value. Meta's OpenAPI document asks for it, and its examples leave it out.
	Policy string `json:"policy"`
	Code   string `json:"code"`
}

type component struct {
	Type       string      `json:"type"`
	SubType    string      `json:"sub_type,omitempty"`
	Index      string      `json:"index,omitempty"`
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Type     string  `json:"type"`
	Name     string  `json:"parameter_name,omitempty"`
	Text     *string `json:"text,omitempty"`
	Payload  *string `json:"payload,omitempty"`
	Coupon   *string `json:"coupon_code,omitempty"`
	Image    *file   `json:"image,omitempty"`
	Video    *file   `json:"video,omitempty"`
	Document *file   `json:"document,omitempty"`
}

// The names of a template message's variables, beside those of the body, which are the template's own: 1, 2 … or words.
// After headerPrefix comes the name of the header's only variable, or the kind of its file, whose URL is the value. After
// buttonPrefix comes the button's place, from 0: by itself the variable end of its URL, with payloadSuffix what a reply
// brings back, with couponSuffix the code that is copied.
const (
	headerPrefix  = "header."
	buttonPrefix  = "button."
	payloadSuffix = ".payload"
	couponSuffix  = ".coupon_code"
)

// templateOf fills a template in. Which variables it has is known by the provider alone: it refuses others.
func templateOf(t content.Template) (*template, *provider.Error) {
	out := &template{Name: t.Name, Language: language{"deterministic", t.Language}}
	var head, body []parameter
	var buttons []component
	for _, name := range variableNames(t.Variables) {
		value := t.Variables[name]
		switch {
		case strings.HasPrefix(name, headerPrefix):
			head = append(head, headerParameter(strings.TrimPrefix(name, headerPrefix), value))
		case strings.HasPrefix(name, buttonPrefix):
			b, ok := buttonComponent(strings.TrimPrefix(name, buttonPrefix), value)
			if !ok {
				return nil, badVariables("name a button's variable button.0, button.0.payload or button.0.coupon_code, with its place among the buttons from 0")
			}
			buttons = append(buttons, b)
		default:
			body = append(body, textParameter(name, value))
		}
	}
	switch {
	case len(head) > 1:
		return nil, badVariables("a template's header has one variable")
	case !countable(t.Variables):
		return nil, badVariables("a body's variables are either 1, 2 and so on without a gap, or all have names")
	}
	if len(head) > 0 {
		out.Components = append(out.Components, component{Type: "header", Parameters: head})
	}
	if len(body) > 0 {
		out.Components = append(out.Components, component{Type: "body", Parameters: body})
	}
	out.Components = append(out.Components, buttons...)
	return out, nil
}

func badVariables(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Permanent, Code: "content_not_supported", Fault: provider.FaultCustomer, Detail: "content.variables: " + detail}
}

// variableNames puts them in the order of their numbers, then of their names.
func variableNames(variables map[string]string) []string {
	names := make([]string, 0, len(variables))
	for name := range variables {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if numbered(a) && numbered(b) {
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		}
		return cmp.Compare(a, b)
	})
	return names
}

// numbered: 1, 2 and so on, without leading zeros.
func numbered(name string) bool {
	return name != "" && name[0] != '0' && len(name) <= 4 && strings.Trim(name, "0123456789") == ""
}

// countable: the variables of the body are all words, or all numbers from 1 on.
func countable(variables map[string]string) bool {
	body, numbers, highest := 0, 0, 0
	for name := range variables {
		if strings.HasPrefix(name, headerPrefix) || strings.HasPrefix(name, buttonPrefix) {
			continue
		}
		body++
		if numbered(name) {
			numbers++
			n, _ := strconv.Atoi(name)
			highest = max(highest, n)
		}
	}
	return numbers == 0 || numbers == body && highest == numbers
}

func textParameter(name, value string) parameter {
	p := parameter{Type: "text", Text: &value}
	if !numbered(name) {
		p.Name = name
	}
	return p
}

func headerParameter(name, value string) parameter {
	f := &file{Link: value}
	switch name {
	case content.Image:
		return parameter{Type: name, Image: f}
	case content.Video:
		return parameter{Type: name, Video: f}
	case content.Document:
		return parameter{Type: name, Document: f}
	}
	return textParameter(name, value)
}

func buttonComponent(name, value string) (component, bool) {
	index, kind := name, ""
	if i := strings.IndexByte(name, '.'); i >= 0 {
		index, kind = name[:i], name[i:]
	}
	if len(index) != 1 || index < "0" || index > "9" { // a template has at most ten buttons
		return component{}, false
	}
	c := component{Type: "button", Index: index}
	switch kind {
	case "":
		c.SubType, c.Parameters = "url", []parameter{{Type: "text", Text: &value}}
	case payloadSuffix:
		c.SubType, c.Parameters = "quick_reply", []parameter{{Type: "payload", Payload: &value}}
	case couponSuffix:
		c.SubType, c.Parameters = "copy_code", []parameter{{Type: "coupon_code", Coupon: &value}}
	default:
		return component{}, false
	}
	return c, true
}

// listed is a template as message_templates tells of it.
type listed struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Language   string `json:"language"`
	Status     string `json:"status"`
	Category   string `json:"category"`
	Components []struct {
		Type    string `json:"type"`
		Format  string `json:"format"`
		Text    string `json:"text"`
		Buttons []struct {
			Type string `json:"type"`
			URL  string `json:"url"`
		} `json:"buttons"`
	} `json:"components"`
}

type listing struct {
	Data   []listed `json:"data"`
	Paging struct {
		Cursors struct {
			After string `json:"after"`
		} `json:"cursors"`
		Next string `json:"next"`
	} `json:"paging"`
}

// templatesAtOnce is the length of a page. Many a template's text and examples stay below the bound of an answer.
const templatesAtOnce = 100

// Templates lists those of the WhatsApp Business Account, which its numbers share.
func (a *Adapter) Templates(ctx context.Context, ch provider.Channel) ([]provider.Template, error) {
	account := ch.Credentials[credAccount]
	if !decimal(account) {
		return nil, credentials("waba_id is missing, or not made of digits").asError()
	}
	ctx, cancel := context.WithTimeout(ctx, a.many)
	defer cancel()
	out := []provider.Template{}
	after := ""
	for len(out) < provider.MaxTemplates {
		query := url.Values{"fields": {"id,name,language,status,category,components"}, "limit": {strconv.Itoa(templatesAtOnce)}}
		if after != "" {
			query.Set("after", after)
		}
		var page listing
		if fail := httpclient.AsRead(a.call(ctx, ch, http.MethodGet, "/"+account+"/message_templates", query, nil, &page)); fail != nil {
			return nil, fail
		}
		for _, t := range page.Data {
			out = append(out, t.shown())
		}
		after = page.Paging.Cursors.After
		if page.Paging.Next == "" || after == "" || len(page.Data) == 0 {
			break
		}
	}
	return out[:min(len(out), provider.MaxTemplates)], nil
}

func (t listed) shown() provider.Template {
	out := provider.Template{ID: t.ID, Name: t.Name, Language: t.Language, Status: statusWord(t.Status), Category: strings.ToLower(t.Category)}
	var head, buttons []string
	for _, c := range t.Components {
		switch strings.ToUpper(c.Type) {
		case "HEADER":
			head = headerVariables(c.Format, c.Text)
		case "BODY":
			out.Text = c.Text
		case "BUTTONS":
			for i, b := range c.Buttons {
				place := buttonPrefix + strconv.Itoa(i)
				switch {
				case strings.EqualFold(b.Type, "COPY_CODE"):
					buttons = append(buttons, place+couponSuffix)
				case placeholder.MatchString(b.URL):
					buttons = append(buttons, place)
				}
			}
		}
	}
	out.Variables = slices.Concat(head, placeholders(out.Text), buttons)
	return out
}

func headerVariables(format, text string) []string {
	switch kind := strings.ToLower(format); kind {
	case content.Image, content.Video, content.Document:
		return []string{headerPrefix + kind}
	}
	var out []string
	for _, name := range placeholders(text) {
		out = append(out, headerPrefix+name)
	}
	return out
}

// placeholder is a variable in a template's text: {{1}} or {{name}}.
var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_]+)\s*\}\}`)

// placeholders are the names of a text's variables, each once, in their order.
func placeholders(text string) []string {
	var out []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// statusWord sorts Meta's states. One that is not known here can't be sent, whatever it is.
func statusWord(s string) string {
	switch strings.ToUpper(s) {
	case "APPROVED":
		return "approved"
	case "REJECTED":
		return "rejected"
	case "PAUSED", "LIMIT_EXCEEDED":
		return "paused"
	case "DISABLED", "PENDING_DELETION", "DELETED", "ARCHIVED":
		return "disabled"
	}
	return "pending"
}
