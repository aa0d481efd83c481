package edna

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// template is what message-matchers/get-by-request tells of one, as far as it is needed to say it again.
type template struct {
	ID          ident  `json:"id"`
	Name        string `json:"name"`
	Category    string `json:"category"`
	Language    string `json:"language"`
	Status      string `json:"status"`
	ChannelType string `json:"channelType"`
	ContentType string `json:"contentType"`
	Content     struct {
		Text   string `json:"text"`
		Header *struct {
			HeaderType string `json:"headerType"`
			Text       string `json:"text"`
		} `json:"header"`
		Footer     *plainText      `json:"footer"`
		Attachment json.RawMessage `json:"attachment"`
		Keyboard   *struct {
			Rows []struct {
				Buttons []struct {
					Text       string `json:"text"`
					ButtonType string `json:"buttonType"`
					URL        string `json:"url"`
					URLPostfix string `json:"urlPostfix"`
					Phone      string `json:"phone"`
					Payload    string `json:"payload"`
				} `json:"buttons"`
			} `json:"rows"`
		} `json:"keyboard"`
	} `json:"content"`
}

type templateList struct {
	at        time.Time
	templates []template
}

// Templates asks edna for the templates of the channel's sender.
func (a *Adapter) Templates(ctx context.Context, ch provider.Channel) ([]provider.Template, error) {
	subject, err := strconv.ParseInt(ch.SenderID, 10, 64)
	if err != nil {
		return nil, senderUnavailable("the channel has no edna sender")
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	list, fail := a.readTemplates(ctx, subject)
	if fail != nil {
		return nil, fail
	}
	out := []provider.Template{}
	for _, t := range list {
		if t.whatsapp() && len(out) < provider.MaxTemplates {
			out = append(out, t.shown())
		}
	}
	return out, nil
}

func (t template) whatsapp() bool { return t.ChannelType == "" || t.ChannelType == "WHATSAPP" }

// shown is a template as the customer sees it, with the variables that fillTemplate asks for.
func (t template) shown() provider.Template {
	out := provider.Template{
		ID: string(t.ID), Name: t.Name, Language: t.Language, Category: strings.ToLower(t.Category), Text: t.Content.Text,
		Status: "disabled", // also for what edna may add: only APPROVED can be sent
	}
	switch status := strings.ToUpper(t.Status); status {
	case "APPROVED", "REJECTED", "PENDING", "PAUSED":
		out.Status = strings.ToLower(status)
	case "NOT_SENT":
		out.Status = "draft"
	}
	for _, p := range placeholder.FindAllStringSubmatch(t.Content.Text, -1) {
		if !slices.Contains(out.Variables, p[1]) {
			out.Variables = append(out.Variables, p[1])
		}
	}
	return out
}

// maxTemplateLists bounds the senders whose templates are remembered.
const maxTemplateLists = 256

// placeholder is a variable in a template's text: {{1}} or {{name}}.
var placeholder = regexp.MustCompile(`\{\{([^{}]+)\}\}`)

// fillTemplate finds the approved template of that name and language and says it with its variables filled in.
//
// cascade/schedule takes a template as the text that it would become, and edna finds the template that matches. So the
// text, the header, the footer and the buttons are the template's own, byte for byte, and each {{key}} of the text is
// replaced, once, by the variable of that key. Every variable must be there and be used. A template with variables
// elsewhere than in its text, or with a file, can't be said this way and is refused.
func (a *Adapter) fillTemplate(ctx context.Context, ch provider.Channel, want content.Template) (whatsappContent, *provider.Error) {
	t, fail := a.findTemplate(ctx, ch, want)
	if fail != nil {
		return whatsappContent{}, fail
	}
	text, fail := fill(t.Content.Text, want.Variables)
	if fail != nil {
		return whatsappContent{}, fail
	}
	if fail := checkText(text); fail != nil {
		return whatsappContent{}, fail
	}
	out := whatsappContent{ContentType: "TEXT", Text: &text}
	if len(t.Content.Attachment) > 0 && string(t.Content.Attachment) != "null" {
		return whatsappContent{}, notSupported("a template with a file can't be carried")
	}
	if h := t.Content.Header; h != nil && (h.Text != "" || h.HeaderType != "") {
		if (h.HeaderType != "" && h.HeaderType != "TEXT") || placeholder.MatchString(h.Text) {
			return whatsappContent{}, notSupported("a template with a file or a variable in its header can't be carried")
		}
		out.Header = &plainText{h.Text}
	}
	if f := t.Content.Footer; f != nil && f.Text != "" {
		out.Footer = f
	}
	if out.Keyboard, fail = t.keyboard(); fail != nil {
		return whatsappContent{}, fail
	}
	return out, nil
}

func (t template) keyboard() (*keyboard, *provider.Error) {
	if t.Content.Keyboard == nil || len(t.Content.Keyboard.Rows) == 0 {
		return nil, nil
	}
	k := &keyboard{}
	for _, row := range t.Content.Keyboard.Rows {
		var r keyboardRow
		for _, b := range row.Buttons {
			switch b.ButtonType {
			case "QUICK_REPLY", "URL", "PHONE":
			default:
				return nil, notSupported("a template with a button of this kind can't be carried")
			}
			if b.URLPostfix != "" || placeholder.MatchString(b.URL) {
				return nil, notSupported("a template with a variable in a button can't be carried")
			}
			r.Buttons = append(r.Buttons, button{Text: b.Text, ButtonType: b.ButtonType, Payload: b.Payload, URL: b.URL, Phone: b.Phone})
		}
		k.Rows = append(k.Rows, r)
	}
	return k, nil
}

// fill replaces every placeholder in one pass, so that a value that looks like a placeholder stays a value.
func fill(text string, variables map[string]string) (string, *provider.Error) {
	used := map[string]bool{}
	missing := false
	out := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		key := strings.TrimSuffix(strings.TrimPrefix(p, "{{"), "}}")
		v, found := variables[key]
		missing = missing || !found
		used[key] = true
		return v
	})
	for k, v := range variables {
		if !used[k] || !utf8.ValidString(v) {
			missing = true
		}
	}
	if missing {
		return "", notSupported("the variables are not those of the template")
	}
	return out, nil
}

// findTemplate looks in the remembered list first, and asks edna when it is old or does not have the template.
func (a *Adapter) findTemplate(ctx context.Context, ch provider.Channel, want content.Template) (template, *provider.Error) {
	subject, err := strconv.ParseInt(ch.SenderID, 10, 64)
	if err != nil {
		return template{}, senderUnavailable("the channel has no edna sender")
	}
	a.mu.Lock()
	known, found := a.templates[subject]
	a.mu.Unlock()
	if found && a.now().Sub(known.at) < a.templateAge {
		if t, n := pick(known.templates, want); n == 1 {
			return t, nil
		}
	}
	list, fail := a.readTemplates(ctx, subject)
	if fail != nil {
		return template{}, fail
	}
	t, n := pick(list, want)
	switch n {
	case 0:
		return template{}, &provider.Error{
			Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "matched-template-not-found", Fault: provider.FaultCustomer,
			Detail: "the sender has no approved template of this name and language",
		}
	case 1:
		return t, nil
	}
	return template{}, notSupported("the sender has several templates of this name: say the language")
}

func (a *Adapter) readTemplates(ctx context.Context, subject int64) ([]template, *provider.Error) {
	body, _, fail := a.call(ctx, http.MethodPost, "/message-matchers/get-by-request", map[string]any{
		"subjectId": subject, "matcherTypes": []string{"OPERATOR", "USER", "CUSTOM"},
	})
	if fail != nil {
		return nil, httpclient.AsRead(fail)
	}
	var list []template
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, httpclient.AsRead(httpclient.Unreadable())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.templates) >= maxTemplateLists {
		clear(a.templates)
	}
	a.templates[subject] = templateList{a.now(), list}
	return list, nil
}

// forgetTemplates makes the next template be looked up anew: edna no longer matched one that we remembered.
func (a *Adapter) forgetTemplates(ch provider.Channel) {
	subject, err := strconv.ParseInt(ch.SenderID, 10, 64)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.templates, subject)
}

// pick returns the approved template of that name and language, and how many there are.
func pick(list []template, want content.Template) (template, int) {
	var found template
	n := 0
	for _, t := range list {
		if t.Name != want.Name || t.Status != "APPROVED" || !t.whatsapp() || want.Language != "" && t.Language != want.Language {
			continue
		}
		found, n = t, n+1
	}
	return found, n
}
