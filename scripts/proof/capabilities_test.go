package proof

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/adapters"
)

// The page of what providers carry is made from what adapters say of themselves.
var update = flag.Bool("update", false, "write docs/providers/README.md anew")

const capabilitiesHead = `# What each provider carries

Made from the adapters: ` + "`go test ./scripts/proof -run TestTheTableOfCapabilities -update`" + ` writes it anew. Intake reads the same
table and refuses what is not in it with ` + "`content_not_supported`" + `, saying what would fit; ` + "`GET /v1/providers/{id}/capabilities`" + ` shows it.
The pages' examples use ` + "`call`" + `, the function of the README's [first message](../../README.md#a-first-message). How to add a provider: [adding-a-provider.md](../adding-a-provider.md).

`

//
func TestTheTableOfCapabilities(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root(), "docs", "providers", "README.md")
	want := capabilitiesHead + capabilityTables(t, adapters.Capabilities())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/providers/README.md is not what the adapters say (%v): go test ./scripts/proof -run TestTheTableOfCapabilities -update", err)
	}
}

func capabilityTables(t *testing.T, all map[string]provider.Capabilities) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| provider | channel | `to` is | reported after it was taken | can answer a message | free form within | a repeat is recognised |\n|---|---|---|---|---|---|---|\n")
	ids := slices.Sorted(maps.Keys(all))
	for _, id := range ids {
		c := all[id]
		name := "`" + id + "`"
		if _, err := os.Stat(filepath.Join(root(), "docs", "providers", id+".md")); err == nil {
			name = "[" + name + "](" + id + ".md)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, strings.Join(c.ChannelTypes, ", "), addressWords(c.AddressKind), orNone(strings.Join(c.Statuses, ", ")),
			yes(c.ReplyTo), windowWords(c), yes(c.RepeatSafe))
	}
	b.WriteString("\nCharacters are Unicode code points.\n\n| form |")
	for _, id := range ids {
		b.WriteString(" `" + id + "` |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(ids)) + "\n")
	for _, form := range []content.Type{content.TypeText, content.TypeTemplate, content.TypeMedia, content.TypeLocation, content.TypeInteractive, content.TypeEmail} {
		b.WriteString("| " + string(form) + " |")
		for _, id := range ids {
			cell := "–"
			if l, carried := all[id].Content[form]; carried {
				cell = limitWords(form, l)
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func addressWords(kind string) string {
	return map[string]string{"phone": "a telephone number", "email": "an e-mail address", "user_id": "the provider's id of a person"}[kind]
}

func windowWords(c provider.Capabilities) string {
	if c.ReplyWindow == 0 {
		return "always"
	}
	words := fmt.Sprintf("%.0f h", c.ReplyWindow.Hours())
	if c.OutsideWindow == nil {
		return words + ", later as the provider decides"
	}
	var later []string
	for _, t := range c.OutsideWindow {
		later = append(later, string(t))
	}
	return words + ", later only " + strings.Join(later, ", ")
}

// words joins those that are there.
func words(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

func when(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

// bound is a limit in words; "" for none.
func bound(what string, n int, unit string) string {
	if n == 0 {
		return ""
	}
	digits := strconv.Itoa(n)
	if n >= 1000 {
		digits = fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return strings.TrimSuffix(what+" of up to "+digits+" "+unit, " ")
}

func limitWords(form content.Type, l provider.Limits) string {
	out := ""
	switch form {
	case content.TypeText:
		out = bound("text", l.MaxTextRunes, "characters")
	case content.TypeTemplate:
		out = words("by name", when(l.NeedsLanguage, "a language is needed"), when(l.NoLanguage, "no language"), when(l.NoVariables, "no variables"))
	case content.TypeLocation:
		out = words("place", when(l.NoPlaceName, "no name"), when(l.NoPlaceAddress, "no address"), when(l.WholePlace, "name and address together or neither"))
	case content.TypeMedia:
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(l.Kinds)) {
			m := l.Kinds[k]
			name := when(m.Filename, "file name")
			if m.MaxFilenameRunes > 0 {
				name = bound("file name", m.MaxFilenameRunes, "characters")
			}
			kinds = append(kinds, words("**"+k+"**", bound("caption", m.MaxCaptionRunes, "characters"), name+when(m.NeedsFilename, ", needed")))
		}
		out = strings.Join(kinds, "<br>")
	case content.TypeInteractive:
		out = strings.Join(slices.DeleteFunc([]string{
			words(bound("text", l.MaxTextRunes, "characters"), bound("header", l.MaxHeaderRunes, ""), bound("footer", l.MaxFooterRunes, "")), buttonWords(l.Buttons), listWords(l.List),
		}, func(s string) bool { return s == "" }), "<br>")
	case content.TypeEmail:
		out = words(bound("subject", l.MaxSubjectRunes, "characters"), bound("text", l.MaxTextRunes, "characters"), when(l.NoHTML, "no HTML"))
	}
	if out == "" {
		return "yes"
	}
	return out
}

func buttonWords(b *provider.ButtonLimits) string {
	if b == nil {
		return ""
	}
	var kinds []string
	for kind, has := range map[string]bool{"reply": b.Reply, "URL": b.URL, "phone": b.Phone} {
		if has {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return words(fmt.Sprintf("**buttons**, up to %d: %s", b.Max, strings.Join(kinds, ", ")), when(b.OneKind, "of one kind"), when(b.UniqueTitles, "no title twice"), when(b.MaxURL > 0, fmt.Sprintf("%d of a URL", b.MaxURL)),
		bound("title", b.MaxTitleRunes, "characters"), bound("id", b.MaxIDBytes, "bytes"))
}

func listWords(l *provider.ListLimits) string {
	if l == nil {
		return ""
	}
	return words(fmt.Sprintf("**list** of up to %d sections and %d rows", l.MaxSections, l.MaxRows), bound("text", l.MaxTextRunes, "characters"), bound("button", l.MaxButtonRunes, "characters"), bound("title", l.MaxTitleRunes, "characters"),
		bound("description", l.MaxDescriptRunes, "characters"), bound("id", l.MaxIDBytes, "bytes"))
}
