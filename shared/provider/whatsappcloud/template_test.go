package whatsappcloud_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	sim "contactcenter/scripts/simulator/whatsappcloud"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
)

func TestTemplatesAreListedWithTheirStateAndVariables(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	list, err := adapter(server, 0).Templates(t.Context(), channel())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]provider.Template{}
	for _, x := range list {
		got[x.Name+" "+x.Language] = x
	}
	want := provider.Template{
		ID: "400000000000004", Name: "sale", Language: "en_US", Status: "approved", Category: "marketing", Text: "Only until {{1}}!",
		Variables: []string{"header.image", "1", "button.1", "button.2.coupon_code"},
	}
	if !reflect.DeepEqual(got["sale en_US"], want) {
		t.Errorf("got %+v\nwant %+v", got["sale en_US"], want)
	}
	for name, c := range map[string]struct{ status, variables string }{
		"order_shipped de": {"approved", "1 2"}, "appointment en_US": {"approved", "first_name day"}, "welcome en_US": {"approved", "header.1"},
		"in_review en_US": {"pending", ""}, "refused en_US": {"rejected", ""}, "resting en_US": {"paused", ""}, "ended en_US": {"disabled", ""},
	} {
		if x := got[name]; x.Status != c.status || strings.Join(x.Variables, " ") != c.variables {
			t.Errorf("%s: got %+v", name, x)
		}
	}
}

func TestALongListOfTemplatesIsReadPageByPageAndEnds(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 100: 100, 250: 250, 1200: provider.MaxTemplates} {
		templates := []sim.Template{}
		for i := range n {
			templates = append(templates, sim.Template{ID: fmt.Sprint(i), Name: fmt.Sprint("t", i), Language: "en", Status: "APPROVED"})
		}
		server := serve(t, simulator(t, sim.Options{Templates: templates}))
		list, err := adapter(server, 0).Templates(t.Context(), channel())
		if err != nil || len(list) != want {
			t.Errorf("of %d: got %d, %v", n, len(list), err)
		}
	}
}

// what the provider could only refuse, or would not be what was asked for, is not sent.
func TestVariablesThatCanNotBeSaidAreRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	s := simulator(t, sim.Options{})
	server := serve(t, s)
	for name, variables := range map[string]map[string]string{
		"a gap":                   {"1": "a", "3": "c"},
		"from zero":               {"0": "a", "1": "b"},
		"numbers and names":       {"1": "a", "name": "b"},
		"two in the header":       {"header.1": "a", "header.image": "https://x.example"},
		"a button without number": {"button.x": "a"},
		"an eleventh button":      {"button.10": "a"},
		"a button's colour":       {"button.0.colour": "red"},
	} {
		_, err := adapter(server, 0).Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: content.Content{
			Type: content.TypeTemplate, Template: &content.Template{Name: "order_shipped", Language: "en_US", Variables: variables},
		}})
		if e := failed(t, err); e.Kind != provider.Permanent || e.Code != "content_not_supported" || !strings.HasPrefix(e.Detail, "content.variables") {
			t.Errorf("%s: got %v", name, e)
		}
	}
	if calls, _ := s.Calls(""); len(calls) != 0 {
		t.Errorf("%d calls were made", len(calls))
	}
}

func TestATemplateThatCanNotBeSentSaysWhy(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{}))
	for name, c := range map[string]struct {
		template, language string
		variables          map[string]string
		code               string
	}{
		"another language":  {"order_shipped", "fr", map[string]string{"1": "a", "2": "b"}, "132001"},
		"in review":         {"in_review", "en_US", nil, "132001"},
		"paused":            {"resting", "en_US", nil, "132015"},
		"disabled":          {"ended", "en_US", nil, "132016"},
		"one variable less": {"order_shipped", "en_US", map[string]string{"1": "a"}, "132000"},
		"no header":         {"welcome", "en_US", nil, "132000"},
		"numbers for names": {"appointment", "en_US", map[string]string{"1": "a", "2": "b"}, "132012"},
	} {
		_, err := adapter(server, 0).Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: content.Content{
			Type: content.TypeTemplate, Template: &content.Template{Name: c.template, Language: c.language, Variables: c.variables},
		}})
		if e := failed(t, err); e.Kind != provider.Permanent || e.Code != "provider_refused" || e.ProviderCode != c.code || e.Fault != provider.FaultCustomer {
			t.Errorf("%s: got %v", name, e)
		}
	}
}

// Variables go in the order of their numbers, not of their letters, and none is taken for a placeholder.
func TestVariablesGoInTheirOrder(t *testing.T) {
	t.Parallel()
	s := simulator(t, sim.Options{Templates: []sim.Template{{ID: "1", Name: "many", Language: "en", Status: "APPROVED", Components: []sim.Component{
		{Type: "BODY", Text: "{{1}}{{2}}{{3}}{{4}}{{5}}{{6}}{{7}}{{8}}{{9}}{{10}}{{11}}"},
	}}}})
	server := serve(t, s)
	variables := map[string]string{}
	var want []string
	for i := 1; i <= 11; i++ {
		variables[fmt.Sprint(i)] = fmt.Sprintf("{{%d}} <&>", 12-i)
		want = append(want, fmt.Sprintf(`{"type":"text","text":"{{%d}} <&>"}`, 12-i))
	}
	_, err := adapter(server, 0).Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: content.Content{
		Type: content.TypeTemplate, Template: &content.Template{Name: "many", Language: "en", Variables: variables},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if calls := steer(t, http.MethodGet, server+"/_sim/calls", "", 200); !strings.Contains(calls, strings.Join(want, ",")) {
		t.Errorf("got %s", calls)
	}
}

// A person without a number is written to by the id.
func TestRecipientsAreNumbersOrIds(t *testing.T) {
	t.Parallel()
	server := serve(t, simulator(t, sim.Options{OpenWindow: true}))
	for to, want := range map[string]string{
		"+35799123456": `"to":"35799123456"`, "US.13491208655302741918": `"recipient":"US.13491208655302741918"`,
		"35799123456": "", "+0": "", "": "", "ann@example.com": "", "+3579912345x": "", "US.": "", "us.1349": "", "+35799002001": "131021",
	} {
		_, err := adapter(server, 0).Send(t.Context(), channel(), provider.Message{ID: "msg_" + to, To: to, Content: content.Content{Type: content.TypeText, Text: "x"}})
		calls := steer(t, http.MethodGet, server+"/_sim/calls?request_id=msg_"+strings.ReplaceAll(to, "+", "%2B"), "", 200)
		switch {
		case strings.HasPrefix(want, `"`):
			if err != nil || !strings.Contains(calls, want) {
				t.Errorf("%q: got %v, %s", to, err, calls)
			}
		default:
			if e := failed(t, err); e.Code != "recipient_invalid" || e.ProviderCode != want || want == "" && strings.Contains(calls, "messaging_product") {
				t.Errorf("%q: got %v", to, e)
			}
		}
	}
}
