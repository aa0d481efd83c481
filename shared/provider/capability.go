package provider

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/content"
)

// Capabilities are an adapter's promises as data: the one table that intake reads before it accepts a message, that the
// adapter reads before it hands one over, and that the documentation is made from.
type Capabilities struct {
	// RepeatSafe: a second Send with the same message id is recognised by the provider and delivers nothing twice.
	RepeatSafe bool
	// ChannelTypes that this adapter serves, the default first.
	ChannelTypes []string
	// AddressKind is what a recipient's address is: "phone" (E.164), "email" or "user_id".
	AddressKind string
	// UserID is a pattern (RE2) of the provider's own ids of people. They are the addresses where AddressKind is "user_id", and
	// elsewhere stand for an address that the provider does not tell. "": it tells every address, or any may be an id.
	UserID string
	// Content lists the forms that can be carried exactly, with the provider's limits.
	Content map[content.Type]Limits
	// ReplyTo: a message can be sent as the answer to an earlier one.
	ReplyTo bool
	// Statuses that the provider reports after it took a message, of "sent", "delivered", "read" and "failed"; none: that it
	// took the message is the last that is heard of it.
	Statuses []string
	// OwnIDsOnly: statuses, or the replies that answer a message, name it by the provider's id alone, so the Contact Center
	// keeps which one is which: one more write for each message.
	OwnIDsOnly bool
	// ReplyWindow is how long after a recipient's message the provider takes any form of content; 0: no such rule.
	ReplyWindow time.Duration
	// OutsideWindow lists the forms that it takes at any time, where there is a ReplyWindow. Nil: it decides by the content.
	OutsideWindow []content.Type
	// CallbackStatus is what a provider wants to hear when its callback was stored; 0: 200.
	CallbackStatus int
}

// Limits bound one form of content. Zero means that the provider states none, or that a part can't be carried, as each
// field says.
type Limits struct {
	// MaxTextRunes bounds the text, in Unicode code points: of a text, of an interactive message's body, of a letter's text;
	// 0: no bound is stated.
	MaxTextRunes int `json:"max_characters,omitempty"`
	// NoBlankText: a text of nothing but blanks can't be carried.
	NoBlankText bool `json:"no_blank_text,omitempty"`
	// NoPlaceName and NoPlaceAddress: that part of a location can't be carried. WholePlace: name and address go together or
	// not at all.
	NoPlaceName    bool `json:"no_name,omitempty"`
	NoPlaceAddress bool `json:"no_address,omitempty"`
	WholePlace     bool `json:"name_with_address,omitempty"`
	// Kinds are the kinds of media that can be carried.
	Kinds map[string]MediaLimits `json:"kinds,omitempty"`
	// Buttons and List bound an interactive message's; nil: it can't have them.
	Buttons *ButtonLimits `json:"buttons,omitempty"`
	List    *ListLimits   `json:"list,omitempty"`
	// MaxHeaderRunes and MaxFooterRunes bound those of an interactive message; 0: it can't have one.
	MaxHeaderRunes int `json:"max_header_characters,omitempty"`
	MaxFooterRunes int `json:"max_footer_characters,omitempty"`
	// NoLanguage and NoVariables: a template has none. NeedsLanguage: it must name one.
	NoLanguage    bool `json:"no_language,omitempty"`
	NeedsLanguage bool `json:"needs_language,omitempty"`
	NoVariables   bool `json:"no_variables,omitempty"`
	// MaxSubjectRunes and NoHTML bound a letter; 0: no bound is stated.
	MaxSubjectRunes int  `json:"max_subject_characters,omitempty"`
	NoHTML          bool `json:"no_html,omitempty"`
}

// MediaLimits bound one kind of media.
type MediaLimits struct {
	// MaxCaptionRunes bounds a caption; 0: it can't have one.
	MaxCaptionRunes int `json:"max_caption_characters,omitempty"`
	// Filename: a name of the file can be given, of at most MaxFilenameRunes (0: no bound is stated). NeedsFilename: it must.
	Filename         bool `json:"filename,omitempty"`
	NeedsFilename    bool `json:"needs_filename,omitempty"`
	MaxFilenameRunes int  `json:"max_filename_characters,omitempty"`
}

// ButtonLimits bound the buttons of an interactive message.
type ButtonLimits struct {
	Max int `json:"max"`
	// Reply, URL and Phone are the kinds of button. OneKind: a message's are all of one kind.
	Reply   bool `json:"reply,omitempty"`
	URL     bool `json:"url,omitempty"`
	Phone   bool `json:"phone,omitempty"`
	OneKind bool `json:"one_kind,omitempty"`
	// MaxURL bounds how many open a URL, where that is less than Max; 0: Max.
	MaxURL int `json:"max_url,omitempty"`
	// UniqueTitles: no two have the same title.
	UniqueTitles  bool `json:"unique_titles,omitempty"`
	MaxTitleRunes int  `json:"max_title_characters,omitempty"`
	MaxIDBytes    int  `json:"max_id_bytes,omitempty"`
}

// ListLimits bound the list of an interactive message.
type ListLimits struct {
	// MaxTextRunes bounds the text of a message with a list, where that is another bound than with buttons; 0: the same.
	MaxTextRunes     int `json:"max_text_characters,omitempty"`
	MaxButtonRunes   int `json:"max_button_characters,omitempty"`
	MaxSections      int `json:"max_sections"`
	MaxRows          int `json:"max_rows"`
	MaxSectionRunes  int `json:"max_section_title_characters,omitempty"`
	MaxTitleRunes    int `json:"max_title_characters,omitempty"`
	MaxIDBytes       int `json:"max_id_bytes,omitempty"`
	MaxDescriptRunes int `json:"max_description_characters,omitempty"`
}

// Mismatch says what of a content a channel can't carry exactly.
type Mismatch struct {
	// Field is the member of content, for example "content.text", and Detail what is wrong with it and what would fit.
	Field, Detail string
}

// Refusal is a Mismatch as the error of a Send.
func (m *Mismatch) Refusal() *Error {
	return &Error{Kind: Permanent, Code: "content_not_supported", Fault: FaultCustomer, Detail: m.Field + " " + m.Detail}
}

// KnowsAs reports whether to is the provider's own id of a person whose address it does not tell.
func (c Capabilities) KnowsAs(to string) bool {
	if c.UserID == "" {
		return false
	}
	is, err := regexp.MatchString(`^(?:`+c.UserID+`)$`, to)
	return err == nil && is
}

// Check compares a content with what can be carried exactly; nil: all of it. Nothing is shortened, split or left out to
// make it fit.
func (c Capabilities) Check(m content.Content) *Mismatch {
	bounds, ok := c.Content[m.Type]
	if !ok {
		return &Mismatch{"content.type", "is no form of content that this channel carries. It carries " + c.Carries()}
	}
	k := checker{}
	switch m.Type {
	case content.TypeText:
		k.text("text", m.Text, bounds.MaxTextRunes)
		if bounds.NoBlankText && strings.TrimSpace(m.Text) == "" {
			k.refuse("text", "has nothing but blanks, which this channel can't carry")
		}
	case content.TypeTemplate:
		k.template(m.Template, bounds)
	case content.TypeLocation:
		k.location(m.Location, bounds)
	case content.TypeMedia:
		k.media(m.Media, bounds)
	case content.TypeInteractive:
		k.interactive(m.Interactive, bounds)
	case content.TypeEmail:
		k.email(m.Email, bounds)
	default:
		k.refuse("type", "can't be sent")
	}
	return k.first
}

// Carries lists the forms that can be carried, in words.
func (c Capabilities) Carries() string {
	var forms []string
	for t, l := range c.Content {
		form := string(t)
		switch kinds := sorted(l.Kinds); {
		case len(kinds) > 0:
			form += " (" + strings.Join(kinds, ", ") + ")"
		case l.MaxTextRunes > 0:
			form += fmt.Sprintf(" (at most %d characters)", l.MaxTextRunes)
		}
		forms = append(forms, form)
	}
	slices.Sort(forms)
	return strings.Join(forms, ", ")
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checker keeps the first mismatch.
type checker struct{ first *Mismatch }

func (k *checker) refuse(field, detail string) {
	if k.first == nil {
		k.first = &Mismatch{"content." + field, detail}
	}
}

// text checks a text that has to be there.
func (k *checker) text(field, s string, limit int) {
	if s == "" {
		k.refuse(field, "is empty")
	}
	k.bounded(field, s, limit)
}

// bounded checks the length of what may be left out; 0: there is no bound.
func (k *checker) bounded(field, s string, limit int) {
	if !utf8.ValidString(s) {
		k.refuse(field, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(s); limit > 0 && n > limit {
		k.refuse(field, fmt.Sprintf("has %d characters, the channel carries %d; it is neither shortened nor split", n, limit))
	}
}

// optional checks a part that the channel may not carry at all.
func (k *checker) optional(field, s string, limit int) {
	if s != "" && limit == 0 {
		k.refuse(field, "can't be carried by this channel: leave it out")
	}
	k.bounded(field, s, limit)
}

func (k *checker) bytes(field, s string, limit int) {
	if limit > 0 && len(s) > limit {
		k.refuse(field, fmt.Sprintf("has %d bytes, the channel carries %d", len(s), limit))
	}
}

func (k *checker) template(t *content.Template, l Limits) {
	if t == nil || t.Name == "" {
		k.refuse("name", "is empty")
		return
	}
	k.bounded("name", t.Name, 0)
	switch {
	case l.NoLanguage && t.Language != "":
		k.refuse("language", "can't be chosen on this channel: leave it out")
	case l.NeedsLanguage && t.Language == "":
		k.refuse("language", "is needed on this channel, for example en_US")
	case l.NoVariables && len(t.Variables) > 0:
		k.refuse("variables", "can't be carried by this channel: leave them out")
	}
	k.bounded("language", t.Language, 0)
	for _, name := range sorted(t.Variables) {
		k.bounded("variables", name+t.Variables[name], 0)
	}
}

func (k *checker) location(p *content.Location, l Limits) {
	if p == nil {
		k.refuse("latitude", "is missing")
		return
	}
	switch {
	case l.NoPlaceName && p.Name != "":
		k.refuse("name", "can't be carried by this channel: leave it out")
	case l.NoPlaceAddress && p.Address != "":
		k.refuse("address", "can't be carried by this channel: leave it out")
	case l.WholePlace && (p.Name == "") != (p.Address == ""):
		k.refuse("name", "and address go together on this channel: give both or neither")
	}
	k.bounded("name", p.Name, 0)
	k.bounded("address", p.Address, 0)
}

func (k *checker) media(m *content.Media, l Limits) {
	if m == nil || m.URL == "" {
		k.refuse("url", "is empty")
		return
	}
	bounds, ok := l.Kinds[m.Kind]
	if !ok {
		k.refuse("kind", "is none that this channel carries: "+strings.Join(sorted(l.Kinds), ", "))
		return
	}
	k.bounded("url", m.URL, 0)
	k.optional("caption", m.Caption, bounds.MaxCaptionRunes)
	switch {
	case m.Filename != "" && !bounds.Filename:
		k.refuse("filename", "can't be carried with this kind by this channel: leave it out")
	case m.Filename == "" && bounds.NeedsFilename:
		k.refuse("filename", "is needed with this kind on this channel")
	}
	k.bounded("filename", m.Filename, bounds.MaxFilenameRunes)
}

func (k *checker) email(m *content.Email, l Limits) {
	if m == nil || m.Subject == "" {
		k.refuse("subject", "is empty")
		return
	}
	k.bounded("subject", m.Subject, l.MaxSubjectRunes)
	if strings.ContainsAny(m.Subject, "\r\n") {
		k.refuse("subject", "can't hold line breaks")
	}
	switch {
	case m.Text == "" && m.HTML == "":
		k.refuse("text", "is empty, and there is no html")
	case m.HTML != "" && l.NoHTML:
		k.refuse("html", "can't be carried by this channel")
	case len(m.Attachments) > 0 || len(m.Source) > 0:
		k.refuse("attachments", "can't be sent")
	}
	k.bounded("text", m.Text, l.MaxTextRunes)
	k.bounded("html", m.HTML, l.MaxTextRunes)
}

func (k *checker) interactive(m *content.Interactive, l Limits) {
	if m == nil {
		k.refuse("text", "is empty")
		return
	}
	limit := l.MaxTextRunes
	if m.List != nil && l.List != nil && l.List.MaxTextRunes > 0 {
		limit = l.List.MaxTextRunes
	}
	k.text("text", m.Text, limit)
	k.optional("header", m.Header, l.MaxHeaderRunes)
	k.optional("footer", m.Footer, l.MaxFooterRunes)
	switch {
	case (len(m.Buttons) == 0) == (m.List == nil):
		k.refuse("buttons", "or list must be there, and only one of them")
	case m.List != nil && l.List == nil:
		k.refuse("list", "can't be carried by this channel")
	case m.List != nil:
		k.list(*m.List, *l.List)
	case l.Buttons == nil:
		k.refuse("buttons", "can't be carried by this channel")
	default:
		k.buttons(m.Buttons, *l.Buttons)
	}
}

func (k *checker) buttons(buttons []content.Button, l ButtonLimits) {
	if len(buttons) > l.Max {
		k.refuse("buttons", fmt.Sprintf("are %d, the channel carries %d", len(buttons), l.Max))
	}
	kinds, ids, titles := map[string]int{}, map[string]bool{}, map[string]bool{}
	for i, b := range buttons {
		field := fmt.Sprintf("buttons[%d]", i)
		kind, carried := "", false
		switch {
		case b.ID != "" && b.URL == "" && b.Phone == "":
			kind, carried = "id", l.Reply
		case b.URL != "" && b.ID == "" && b.Phone == "":
			kind, carried = "url", l.URL
		case b.Phone != "" && b.ID == "" && b.URL == "":
			kind, carried = "phone", l.Phone
		default:
			k.refuse(field, "must have exactly one of id, url and phone")
		}
		if kind != "" && !carried {
			k.refuse(field+"."+kind, "is no kind of button that this channel carries")
		}
		if kinds[kind]++; kind == "id" && ids[b.ID] {
			k.refuse(field+".id", "is another button's id")
		}
		if l.UniqueTitles && titles[b.Title] {
			k.refuse(field+".title", "is another button's title")
		}
		ids[b.ID], titles[b.Title] = true, true
		k.text(field+".title", b.Title, l.MaxTitleRunes)
		k.bytes(field+".id", b.ID, l.MaxIDBytes)
		k.bounded(field, b.ID+b.URL+b.Phone, 0)
	}
	if l.OneKind && len(kinds) > 1 {
		k.refuse("buttons", "must all be of one kind on this channel")
	}
	if n := kinds["url"]; l.MaxURL > 0 && n > l.MaxURL {
		k.refuse("buttons", fmt.Sprintf("of a URL are %d, the channel carries %d", n, l.MaxURL))
	}
}

func (k *checker) list(list content.List, l ListLimits) {
	k.text("list.button", list.Button, l.MaxButtonRunes)
	if n := len(list.Sections); n == 0 || n > l.MaxSections {
		k.refuse("list.sections", fmt.Sprintf("are %d, the channel carries 1 to %d", n, l.MaxSections))
	}
	rows, ids := 0, map[string]bool{}
	for i, s := range list.Sections {
		field := fmt.Sprintf("list.sections[%d]", i)
		if s.Title == "" && len(list.Sections) > 1 {
			k.refuse(field+".title", "is needed where there is more than one section")
		}
		k.bounded(field+".title", s.Title, l.MaxSectionRunes)
		if len(s.Rows) == 0 {
			k.refuse(field+".rows", "are missing")
		}
		rows += len(s.Rows)
		for j, r := range s.Rows {
			field := fmt.Sprintf("%s.rows[%d]", field, j)
			k.text(field+".id", r.ID, 0)
			k.bytes(field+".id", r.ID, l.MaxIDBytes)
			k.text(field+".title", r.Title, l.MaxTitleRunes)
			k.bounded(field+".description", r.Description, l.MaxDescriptRunes)
			if ids[r.ID] {
				k.refuse(field+".id", "is another row's id")
			}
			ids[r.ID] = true
		}
	}
	if rows > l.MaxRows {
		k.refuse("list.sections", fmt.Sprintf("have %d rows, the channel carries %d", rows, l.MaxRows))
	}
}
