package whatsappcloud

import (
	"regexp"
	"slices"
	"strings"
)

// Template is a message template of every account, in Meta's own JSON.
type Template struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Language   string      `json:"language"`
	Status     string      `json:"status"`
	Category   string      `json:"category"`
	Components []Component `json:"components"`
}

// Component is a part of a template.
type Component struct {
	Type    string   `json:"type"`
	Format  string   `json:"format,omitempty"`
	Text    string   `json:"text,omitempty"`
	Buttons []Button `json:"buttons,omitempty"`
}

// Button is one of a template.
type Button struct {
	Type string `json:"type"`
	Text string `json:"text"`
	URL  string `json:"url,omitempty"`
}

// DefaultTemplates are one of every kind that the tests need: with variables by number, by name, in all parts, and of
// states that can't be sent.
func DefaultTemplates() []Template {
	body := func(text string) []Component { return []Component{{Type: "BODY", Text: text}} }
	return []Template{
		{"400000000000001", "order_shipped", "en_US", "APPROVED", "UTILITY", body("Hello {{1}}, your order {{2}} is on its way.")},
		{"400000000000002", "order_shipped", "de", "APPROVED", "UTILITY", body("Hallo {{1}}, Ihre Bestellung {{2}} ist unterwegs.")},
		{"400000000000003", "appointment", "en_US", "APPROVED", "UTILITY", body("Dear {{first_name}}, we meet on {{day}}.")},
		{"400000000000004", "sale", "en_US", "APPROVED", "MARKETING", []Component{
			{Type: "HEADER", Format: "IMAGE"}, {Type: "BODY", Text: "Only until {{1}}!"}, {Type: "FOOTER", Text: "Local Business"},
			{Type: "BUTTONS", Buttons: []Button{
				{Type: "QUICK_REPLY", Text: "Stop"}, {Type: "URL", Text: "Look", URL: "https://shop.example/{{1}}"}, {Type: "COPY_CODE", Text: "Copy code"},
			}},
		}},
		{"400000000000005", "welcome", "en_US", "APPROVED", "MARKETING", []Component{{Type: "HEADER", Format: "TEXT", Text: "Welcome, {{1}}"}, {Type: "BODY", Text: "We are here."}}},
		{"400000000000006", "in_review", "en_US", "PENDING", "UTILITY", body("Soon")},
		{"400000000000007", "refused", "en_US", "REJECTED", "MARKETING", body("Never")},
		{"400000000000008", "resting", "en_US", "PAUSED", "MARKETING", body("Not now")},
		{"400000000000009", "ended", "en_US", "DISABLED", "MARKETING", body("No more")},
	}
}

// filling is a template of a send.
type filling struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
	Components []struct {
		Type       string           `json:"type"`
		SubType    string           `json:"sub_type"`
		Index      string           `json:"index"`
		Parameters []map[string]any `json:"parameters"`
	} `json:"components"`
}

// fault is why something is refused.
type fault struct {
	code           int
	title, details string
}

func (f fault) none() bool { return f.code == 0 }

// find looks a template up. The caller holds mu.
func (s *Simulator) find(f filling) (Template, fault) {
	i := slices.IndexFunc(s.templates, func(t Template) bool { return t.Name == f.Name && t.Language == f.Language.Code })
	if i < 0 {
		return Template{}, fault{132001, "Template name does not exist in the translation", "template name (" + f.Name + ") does not exist in " + f.Language.Code}
	}
	switch t := s.templates[i]; t.Status {
	case "APPROVED":
		return t, f.fits(t)
	case "PAUSED":
		return t, fault{132015, "Template is Paused", ""}
	case "DISABLED":
		return t, fault{132016, "Template is Disabled", ""}
	}
	return Template{}, fault{132001, "Template name does not exist in the translation", "the template is not approved"}
}

// fits compares the parameters with the template's variables.
func (f filling) fits(t Template) fault {
	mismatch := fault{132000, "Number of parameters does not match the expected number of params", ""}
	given := map[string]int{}
	for _, c := range f.Components {
		given[c.Type+c.SubType+c.Index] += len(c.Parameters)
		for _, p := range c.Parameters {
			if p["type"] == "text" && p["text"] == "" {
				return fault{131008, "Required parameter is missing", "a parameter has no text"}
			}
		}
		if c.Type == "body" && !f.named(t, c.Parameters) {
			return fault{132012, "Parameter format does not match format in the created template", ""}
		}
	}
	wanted := map[string]int{}
	for _, c := range t.Components {
		switch {
		case c.Type == "HEADER" && c.Format != "TEXT":
			wanted["header"] = 1
		case c.Type == "HEADER" || c.Type == "BODY":
			wanted[strings.ToLower(c.Type)] = len(names(c.Text))
		}
		for i, b := range c.Buttons {
			place := string(rune('0' + i))
			switch b.Type {
			case "URL":
				wanted["buttonurl"+place] = len(names(b.URL))
			case "COPY_CODE":
				wanted["buttoncopy_code"+place] = 1
			case "QUICK_REPLY":
				delete(given, "buttonquick_reply"+place) // its payload may be left out
			}
		}
	}
	for part, n := range wanted {
		if given[part] != n {
			return mismatch
		}
		delete(given, part)
	}
	if len(given) > 0 {
		return mismatch
	}
	return fault{}
}

// named compares the names of a body's parameters, which have none where the template has numbers.
func (f filling) named(t Template, parameters []map[string]any) bool {
	for _, c := range t.Components {
		if c.Type != "BODY" {
			continue
		}
		for _, p := range parameters {
			name, has := p["parameter_name"].(string)
			if words := names(c.Text); has && !slices.Contains(words, name) || !has && slices.ContainsFunc(words, func(w string) bool { return w[0] > '9' }) {
				return false
			}
		}
	}
	return true
}

var variable = regexp.MustCompile(`\{\{(\w+)\}\}`)

func names(text string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}
