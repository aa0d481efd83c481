package edna_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/edna"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/edna"
)

func template(name, language string, variables ...string) content.Content {
	v := map[string]string{}
	for i := 0; i < len(variables); i += 2 {
		v[variables[i]] = variables[i+1]
	}
	return content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: name, Language: language, Variables: v}}
}

// sent is the content of the last send that the simulator saw.
func sent(t *testing.T, s *sim.Simulator) map[string]any {
	t.Helper()
	calls, _ := s.Calls(0)
	var body struct {
		Content struct {
			WhatsappContent map[string]any
		}
	}
	if err := json.Unmarshal(calls[len(calls)-1].Request, &body); err != nil {
		t.Fatal(err)
	}
	return body.Content.WhatsappContent
}

func TestATemplateIsSaidAsEdnaWillMatchIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		content content.Content
		want    map[string]any
	}{
		{"without variables", template("order_ready", "en"), map[string]any{"contentType": "TEXT", "text": "Your order is ready"}},
		{"without a language, where there is one", template("order_ready", ""), map[string]any{"contentType": "TEXT", "text": "Your order is ready"}},
		{
			"with numbered variables", template("order_shipped", "en", "1", "Ann", "2", "#77"),
			map[string]any{"contentType": "TEXT", "text": "Hello Ann, your order #77 is on its way."},
		},
		{
			"in another language", template("order_shipped", "ru", "1", "Анна", "2", "77"),
			map[string]any{"contentType": "TEXT", "text": "Здравствуйте, Анна! Заказ 77 уже в пути."},
		},
		{
			"with a value that looks like a variable, and blanks", template("order_shipped", "en", "1", "{{2}} ", "2", " <b>\r\n"),
			map[string]any{"contentType": "TEXT", "text": "Hello {{2}} , your order  <b>\r\n is on its way."},
		},
		{
			"with a footer and buttons", template("appointment", "en", "date", "1 May", "time", "10:00"),
			map[string]any{
				"contentType": "TEXT", "text": "Your appointment is on 1 May at 10:00.", "footer": map[string]any{"text": "Reply to change it"},
				"keyboard": map[string]any{"rows": []any{map[string]any{"buttons": []any{
					map[string]any{"text": "Confirm", "buttonType": "QUICK_REPLY", "payload": "CONFIRM"},
					map[string]any{"text": "Cancel", "buttonType": "QUICK_REPLY", "payload": "CANCEL"},
				}}}},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a, _ := running(t, sim.Options{})
			if _, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: c.content}); err != nil {
				t.Fatal(err)
			}
			if got := sent(t, s); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v\nwant %v", got, c.want)
			}
		})
	}
}

//
func TestATemplateThatCanNotBeSaidIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		content content.Content
		code    string
	}{
		{"unknown", template("nothing", "en"), "provider_refused"},
		{"not in that language", template("order_ready", "de"), "provider_refused"},
		{"waiting for approval", template("not_yet", "en"), "provider_refused"},
		{"rejected by WhatsApp", template("turned_down", "en"), "provider_refused"},
		{"of two languages, and none is named", template("order_shipped", "", "1", "a", "2", "b"), "content_not_supported"},
		{"with a variable missing", template("order_shipped", "en", "1", "a"), "content_not_supported"},
		{"with a variable too many", template("order_ready", "en", "1", "a"), "content_not_supported"},
		{"with a value that is not UTF-8", template("order_shipped", "en", "1", "a\xff", "2", "b"), "content_not_supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a, _ := running(t, sim.Options{})
			_, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: c.content})
			var e *provider.Error
			if !errors.As(err, &e) || e.Kind != provider.Permanent || e.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			if _, n := s.Calls(0); n != 0 {
				t.Errorf("accepted %d", n)
			}
		})
	}
}

func TestTemplatesAreLookedUpOncePerMinuteAndSender(t *testing.T) {
	t.Parallel()
	s, _, server := running(t, sim.Options{})
	var now atomic.Int64
	a := edna.New(edna.Config{BaseURL: server.URL + "/api", APIKey: apiKey, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	send := func(id string, c content.Content) {
		t.Helper()
		_, _ = a.Send(t.Context(), channel(), provider.Message{ID: id, To: "+35799123456", Content: c})
	}
	lookups := func() int {
		n := 0
		calls, _ := s.Calls(0)
		for _, c := range calls {
			if c.Path == "/api/message-matchers/get-by-request" {
				n++
			}
		}
		return n
	}
	send("msg_1", template("order_ready", "en"))
	send("msg_2", template("order_shipped", "en", "1", "a", "2", "b"))
	if n := lookups(); n != 1 {
		t.Errorf("%d look-ups for two templates of a sender, want 1", n)
	}
	send("msg_3", template("nothing", "en"))
	if n := lookups(); n != 2 {
		t.Errorf("%d look-ups after a template that the list lacks, want 2", n)
	}
	now.Add(61)
	send("msg_4", template("order_ready", "en"))
	if n := lookups(); n != 3 {
		t.Errorf("%d look-ups after a minute, want 3", n)
	}
}

//
func TestALocationArrivesExactly(t *testing.T) {
	t.Parallel()
	s, a, _ := running(t, sim.Options{})
	place := content.Content{Type: content.TypeLocation, Location: &content.Location{Latitude: -34.123456789, Longitude: 0, Address: " 1 <Main> St & \"x\"\n"}}
	if _, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: place}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"contentType": "LOCATION", "location": map[string]any{"latitude": -34.123456789, "longitude": 0.0, "address": place.Location.Address}}
	if got := sent(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	place.Location.Name = "Home"
	_, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_2", To: "+35799123456", Content: place})
	var e *provider.Error
	if !errors.As(err, &e) || e.Code != "content_not_supported" {
		t.Errorf("a name, which edna can't carry: got %v", err)
	}
}

//
func TestARecipientThatIsNoNumberIsRefused(t *testing.T) {
	t.Parallel()
	s, a, _ := running(t, sim.Options{})
	for _, to := range []string{"", "+", "35799123456", "+357 99", "US.1349120", "+1234567890123456", "+٣٥٧٩٩١٢٣"} {
		_, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: to, Content: content.Content{Type: content.TypeText, Text: "x"}})
		var e *provider.Error
		if !errors.As(err, &e) || e.Code != "recipient_invalid" || e.Kind != provider.Permanent {
			t.Errorf("%q: got %v", to, err)
		}
	}
	if calls, _ := s.Calls(0); len(calls) != 0 {
		t.Errorf("%d calls", len(calls))
	}
}

func TestTheTemplatesOfASenderAreListedInWhateverState(t *testing.T) {
	t.Parallel()
	_, a, _ := running(t, sim.Options{Templates: []sim.Template{
		{ID: 98, Name: "shipped", Language: "en", Text: "Hello {{1}}, {{order}} is on its way, {{1}}."},
		{ID: 99, Name: "new", Language: "en", Text: "x", Status: "PENDING"}, {ID: 100, Name: "no", Language: "en", Text: "x", Status: "REJECTED"},
		{ID: 101, Name: "slow", Language: "en", Text: "x", Status: "PAUSED"}, {ID: 102, Name: "off", Language: "en", Text: "x", Status: "DISABLED"},
		{ID: 103, Name: "idea", Language: "en", Text: "x", Status: "NOT_SENT"}, {ID: 104, Name: "old", Language: "en", Text: "x", Status: "ARCHIVED"},
		{ID: 105, Name: "odd", Language: "en", Text: "x", Status: "WHATEVER"}, {ID: 106, Name: "another's", Language: "en", Text: "x", SubjectID: 1002},
	}})
	list, err := a.Templates(t.Context(), provider.Channel{ID: "chn_1", SenderID: "1001"})
	if err != nil || len(list) != 8 {
		t.Fatalf("got %d, %v", len(list), err)
	}
	want := provider.Template{
		ID: "98", Name: "shipped", Language: "en", Status: "approved", Category: "utility", Text: "Hello {{1}}, {{order}} is on its way, {{1}}.", Variables: []string{"1", "order"},
	}
	if !reflect.DeepEqual(list[0], want) {
		t.Errorf("got %+v", list[0])
	}
	for i, status := range []string{"approved", "pending", "rejected", "paused", "disabled", "draft", "disabled", "disabled"} {
		if list[i].Status != status {
			t.Errorf("%s is %s, want %s", list[i].Name, list[i].Status, status)
		}
	}
}

func TestTemplatesThatCanNotBeListedAreToBeAskedForAgain(t *testing.T) {
	t.Parallel()
	_, a, server := running(t, sim.Options{})
	steer(t, http.MethodPut, server, "/_sim/behaviour", `{"fail_status":502,"apply_to":"all"}`)
	var e *provider.Error
	if _, err := a.Templates(t.Context(), channel()); !errors.As(err, &e) || e.Kind != provider.Retry || e.Code != "provider_unavailable" {
		t.Errorf("got %v", err)
	}
	if _, err := a.Templates(t.Context(), provider.Channel{ID: "chn_1"}); !errors.As(err, &e) || e.Code != "sender_unavailable" {
		t.Errorf("without a sender: %v", err)
	}
}
