package provider_test

import (
	"strings"
	"testing"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

// able carries every form, with small limits.
func able() provider.Capabilities {
	return provider.Capabilities{Content: map[content.Type]provider.Limits{
		content.TypeText:     {MaxTextRunes: 5, NoBlankText: true},
		content.TypeTemplate: {NeedsLanguage: true},
		content.TypeLocation: {WholePlace: true},
		content.TypeMedia:    {Kinds: map[string]provider.MediaLimits{content.Image: {MaxCaptionRunes: 3}, content.Document: {Filename: true, NeedsFilename: true, MaxFilenameRunes: 5}}},
		content.TypeInteractive: {
			MaxTextRunes: 10, MaxHeaderRunes: 4,
			Buttons: &provider.ButtonLimits{Max: 2, Reply: true, URL: true, OneKind: true, MaxURL: 1, UniqueTitles: true, MaxTitleRunes: 4, MaxIDBytes: 4},
			List:    &provider.ListLimits{MaxTextRunes: 12, MaxButtonRunes: 4, MaxSections: 2, MaxRows: 2, MaxSectionRunes: 4, MaxTitleRunes: 4, MaxIDBytes: 4, MaxDescriptRunes: 4},
		},
		content.TypeEmail: {MaxSubjectRunes: 5, MaxTextRunes: 5},
	}}
}

func pressing(buttons ...content.Button) content.Content {
	return content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{Text: "Choose", Buttons: buttons}}
}

func choosing(sections ...content.Section) content.Content {
	return content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{Text: "Choose", List: &content.List{Button: "Open", Sections: sections}}}
}

func saying(text string, c content.Content) content.Content {
	c.Interactive.Text = text
	return c
}

func row(id string) content.Row { return content.Row{ID: id, Title: "Row"} }

func picture(m content.Media) content.Content {
	return content.Content{Type: content.TypeMedia, Media: &m}
}

func letter(m content.Email) content.Content {
	return content.Content{Type: content.TypeEmail, Email: &m}
}

func place(l content.Location) content.Content {
	return content.Content{Type: content.TypeLocation, Location: &l}
}

// what a channel can't carry exactly is refused, by the name of the field; what it can is taken as it is.
func TestWhatAChannelCanNotCarryIsRefusedByItsField(t *testing.T) {
	t.Parallel()
	const fits = ""
	for _, c := range []struct {
		name  string
		given content.Content
		field string
	}{
		{"a text at the limit, in code points", content.Content{Type: content.TypeText, Text: "éé👩ab"}, fits},
		{"a text beyond it", content.Content{Type: content.TypeText, Text: "éé👩abc"}, "content.text"},
		{"no text", content.Content{Type: content.TypeText}, "content.text"},
		{"a text of blanks", content.Content{Type: content.TypeText, Text: " \t"}, "content.text"},
		{"a text that is no UTF-8", content.Content{Type: content.TypeText, Text: "\xff"}, "content.text"},
		{"a reply's form", content.Content{Type: content.TypeOther}, "content.type"},
		{"a template", content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: "n", Language: "en"}}, fits},
		{"a template without its language", content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: "n"}}, "content.language"},
		{"a template's hull", content.Content{Type: content.TypeTemplate}, "content.name"},
		{"a place", place(content.Location{}), fits},
		{"a place with all", place(content.Location{Name: "a", Address: "b"}), fits},
		{"a place with half", place(content.Location{Name: "a"}), "content.name"},
		{"a place's hull", content.Content{Type: content.TypeLocation}, "content.latitude"},
		{"a picture", picture(content.Media{Kind: content.Image, URL: "u", Caption: "abc"}), fits},
		{"a picture with a longer caption", picture(content.Media{Kind: content.Image, URL: "u", Caption: "abcd"}), "content.caption"},
		{"a picture's filename", picture(content.Media{Kind: content.Image, URL: "u", Filename: "a"}), "content.filename"},
		{"a file without a name", picture(content.Media{Kind: content.Document, URL: "u"}), "content.filename"},
		{"a file with a caption", picture(content.Media{Kind: content.Document, URL: "u", Filename: "a", Caption: "c"}), "content.caption"},
		{"a film", picture(content.Media{Kind: content.Video, URL: "u"}), "content.kind"},
		{"a picture that nobody can fetch", picture(content.Media{Kind: content.Image}), "content.url"},
		{"buttons", pressing(content.Button{Title: "Yes", ID: "y"}, content.Button{Title: "No", ID: "n"}), fits},
		{"one button too many", pressing(content.Button{Title: "a", ID: "1"}, content.Button{Title: "b", ID: "2"}, content.Button{Title: "c", ID: "3"}), "content.buttons"},
		{"two buttons of one id", pressing(content.Button{Title: "a", ID: "1"}, content.Button{Title: "b", ID: "1"}), "content.buttons[1].id"},
		{"two buttons of one title", pressing(content.Button{Title: "a", ID: "1"}, content.Button{Title: "a", ID: "2"}), "content.buttons[1].title"},
		{"buttons of two kinds", pressing(content.Button{Title: "a", ID: "1"}, content.Button{Title: "b", URL: "u"}), "content.buttons"},
		{"two URLs", pressing(content.Button{Title: "a", URL: "u"}, content.Button{Title: "b", URL: "v"}), "content.buttons"},
		{"a button to call", pressing(content.Button{Title: "a", Phone: "1"}), "content.buttons[0].phone"},
		{"a button for two things", pressing(content.Button{Title: "a", ID: "1", URL: "u"}), "content.buttons[0]"},
		{"a button for nothing", pressing(content.Button{Title: "a"}), "content.buttons[0]"},
		{"a long title", pressing(content.Button{Title: "Maybe", ID: "m"}), "content.buttons[0].title"},
		{"a long id, in bytes", pressing(content.Button{Title: "a", ID: "ééé"}), "content.buttons[0].id"},
		{"neither buttons nor a list", pressing(), "content.buttons"},
		{"a list", choosing(content.Section{Rows: []content.Row{row("1"), row("2")}}), fits},
		{"a text that is longer than with buttons", saying("Choose a day", choosing(content.Section{Rows: []content.Row{row("1")}})), fits},
		{"a text that is too long with buttons", saying("Choose a day", pressing(content.Button{Title: "Yes", ID: "1"})), "content.text"},
		{"a text that is too long with a list", saying("Choose a day!", choosing(content.Section{Rows: []content.Row{row("1")}})), "content.text"},
		{"a row too many", choosing(content.Section{Title: "a", Rows: []content.Row{row("1"), row("2")}}, content.Section{Title: "b", Rows: []content.Row{row("3")}}), "content.list.sections"},
		{"two rows of one id", choosing(content.Section{Rows: []content.Row{row("1"), row("1")}}), "content.list.sections[0].rows[1].id"},
		{"two sections without titles", choosing(content.Section{Rows: []content.Row{row("1")}}, content.Section{Rows: []content.Row{row("2")}}), "content.list.sections[0].title"},
		{"an empty section", choosing(content.Section{}), "content.list.sections[0].rows"},
		{"no section", choosing(), "content.list.sections"},
		{"a footer", content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{Text: "t", Footer: "f", Buttons: []content.Button{{Title: "a", ID: "1"}}}}, "content.footer"},
		{"a long header", content.Content{Type: content.TypeInteractive, Interactive: &content.Interactive{Text: "t", Header: "abcde", Buttons: []content.Button{{Title: "a", ID: "1"}}}}, "content.header"},
		{"a letter", letter(content.Email{Subject: "abcde", Text: "a", HTML: "b"}), fits},
		{"a letter without a subject", letter(content.Email{Text: "a"}), "content.subject"},
		{"a subject that would be a header of its own", letter(content.Email{Subject: "a\nb", Text: "a"}), "content.subject"},
		{"an empty letter", letter(content.Email{Subject: "a"}), "content.text"},
		{"a letter with a reply's attachments", letter(content.Email{Subject: "a", Text: "a", Attachments: []content.Attachment{{}}}), "content.attachments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := able().Check(c.given)
			if c.field == fits {
				if m != nil {
					t.Errorf("%s %s", m.Field, m.Detail)
				}
				return
			}
			if m == nil || m.Field != c.field || m.Detail == "" {
				t.Fatalf("got %+v, want %s", m, c.field)
			}
			if e := m.Refusal(); e.Code != "content_not_supported" || e.Kind != provider.Permanent {
				t.Errorf("as an error it is %v", e)
			}
		})
	}
}

// What is refused as a whole says what would fit.
func TestARefusalOfAFormSaysWhatWouldFit(t *testing.T) {
	t.Parallel()
	c := provider.Capabilities{Content: map[content.Type]provider.Limits{
		content.TypeText: {MaxTextRunes: 1600}, content.TypeMedia: {Kinds: map[string]provider.MediaLimits{content.Video: {}, content.Image: {}}},
	}}
	m := c.Check(content.Content{Type: content.TypeLocation, Location: &content.Location{}})
	if m == nil || !strings.HasSuffix(m.Detail, "It carries media (image, video), text (at most 1600 characters)") {
		t.Errorf("got %+v", m)
	}
}

func TestAPersonIsKnownByTheProvidersOwnIdWhereItHasOne(t *testing.T) {
	t.Parallel()
	can := provider.Capabilities{UserID: `[A-Z]{2}\.[0-9]+|x`}
	for to, want := range map[string]bool{"US.1349": true, "x": true, "US.1349x": false, "xUS.1349": false, "+35799123456": false, "": false, "US.1349\n": false} {
		if got := can.KnowsAs(to); got != want {
			t.Errorf("%q: %v", to, got)
		}
	}
	if (provider.Capabilities{}).KnowsAs("") || (provider.Capabilities{UserID: "("}).KnowsAs("(") {
		t.Error("known without a pattern")
	}
}
