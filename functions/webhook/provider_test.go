package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/recipient"
)

// scripted is a provider whose callbacks tell what a test says.
type scripted struct {
	provider.Adapter
	can    provider.Capabilities
	events []provider.Event
	asked  []string
}

func (s *scripted) Capabilities() provider.Capabilities { return s.can }

func (s *scripted) ParseCallback(_ context.Context, _ provider.Channel, r *provider.Request) ([]provider.Event, error) {
	s.asked = append(s.asked, r.URL)
	return s.events, nil
}

func (s *scripted) Verify(_ context.Context, _ provider.Channel, r *provider.Request) ([]byte, error) {
	s.asked = append(s.asked, r.URL)
	if r.Query.Get("token") != "right" {
		return nil, provider.ErrProof
	}
	return []byte(r.Query.Get("challenge")), nil
}

// scripted gives the world a further provider and a channel of it, with the id of a message that was sent there.
func (w *world) scripted(can provider.Capabilities) (*scripted, string, message.Message) {
	w.t.Helper()
	s := &scripted{can: can}
	w.handler.adapters["scripted"] = s
	channelID, err := w.ids.New(id.ChannelPrefix)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.channels.Create(context.Background(), channel.Channel{ID: channelID, AccountID: acct, ProviderID: "scripted", Type: "toy", Name: "Bot", CreatedAt: noon}, audittest.By(acct)); err != nil {
		w.t.Fatal(err)
	}
	mid, err := w.ids.NewMessage(w.keyer.Key(acct, channelID, person))
	if err != nil {
		w.t.Fatal(err)
	}
	m := message.Message{
		AccountID: acct, ID: mid, Direction: message.Outbound, ChannelID: channelID, ProviderID: "scripted", Address: person,
		Content: content.Content{Type: content.TypeText, Text: "hello"}, Outcome: message.Queued,
	}
	m.ContentSHA256, _ = m.Content.SHA256() // text always has a hash
	if err := w.messages.Create(context.Background(), m); err != nil {
		w.t.Fatal(err)
	}
	return s, channelID, m
}

func (w *world) tell(s *scripted, channelID string, events ...provider.Event) int {
	w.t.Helper()
	s.events = events
	return w.server.As(nil).Do(http.MethodPost, "/v1/callbacks/scripted/"+channelID, `{}`).Status
}

func reply(text string, at time.Time) provider.Event {
	return provider.Event{Reply: &provider.Reply{ID: "r-" + text, From: person, Content: content.Content{Type: content.TypeText, Text: text}, At: at, Raw: []byte(text)}}
}

// R-P.3: a status that names the message by the provider's id alone finds it, and one that comes before that id is known
// is asked for again, for a minute.
func TestAStatusByTheProvidersIDAloneFindsItsMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ch, m := w.scripted(provider.Capabilities{OwnIDsOnly: true})
	delivered := func(at time.Time) provider.Event {
		return provider.Event{Status: &provider.StatusReport{ProviderMessageID: "wamid.7", Status: "delivered", At: at}}
	}
	if status := w.tell(s, ch, delivered(w.clock.Now())); status != http.StatusServiceUnavailable {
		t.Errorf("before its id is known: answered %d, want 503", status)
	}
	if status := w.tell(s, ch, delivered(w.clock.Now().Add(-2*time.Minute))); status != http.StatusOK {
		t.Errorf("of a message that nobody knows: answered %d, want 200", status)
	}
	if err := w.messages.KeepProviderID(t.Context(), acct, ch, "wamid.7", m.ID); err != nil {
		t.Fatal(err)
	}
	if status := w.tell(s, ch, delivered(w.clock.Now())); status != http.StatusOK || w.get(m.ID).Status() != message.Delivered {
		t.Errorf("answered %d, the message is %s", status, w.get(m.ID).Status())
	}
	if status := w.tell(s, w.first, delivered(w.clock.Now())); status != http.StatusNotFound {
		t.Errorf("on another provider's channel: answered %d", status)
	}
}

// R-P.3: Meta puts many statuses into one callback. One that has to come again holds up none of the others.
func TestAStatusWhoseMessageIsNotKnownYetHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ch, m := w.scripted(provider.Capabilities{OwnIDsOnly: true})
	if err := w.messages.KeepProviderID(t.Context(), acct, ch, "wamid.7", m.ID); err != nil {
		t.Fatal(err)
	}
	delivered := func(id string) provider.Event {
		return provider.Event{Status: &provider.StatusReport{ProviderMessageID: id, Status: "delivered", At: w.clock.Now()}}
	}
	if status := w.tell(s, ch, delivered("wamid.8"), delivered("wamid.7"), reply("hello", w.clock.Now())); status != http.StatusServiceUnavailable {
		t.Errorf("answered %d, want 503: one is to come again", status)
	}
	if got := w.get(m.ID).Status(); got != message.Delivered {
		t.Errorf("the message that is known is %s, want delivered", got)
	}
	if got := w.inbox(ch); len(got) != 2 {
		t.Errorf("%d messages are in the conversation, want that one and the reply", len(got))
	}
}

// a channel of a provider that was added at run time is spoken for by the adapter that it names, under its own
// provider's URL. Nothing answers for a channel that nothing speaks for.
func TestACallbackIsReadByTheAdapterThatItsChannelNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &scripted{}
	w.handler.adapters["scripted"] = s
	channelOf := func(adapter string) string {
		channelID, err := w.ids.New(id.ChannelPrefix)
		if err != nil {
			t.Fatal(err)
		}
		c := channel.Channel{ID: channelID, AccountID: acct, ProviderID: "x_chat", Adapter: adapter, Type: "webchat", Name: "n", CreatedAt: noon}
		if err := w.channels.Create(t.Context(), c, audittest.By(acct)); err != nil {
			t.Fatal(err)
		}
		return channelID
	}
	named, unspoken, unknown, older := channelOf("scripted"), channelOf(channel.Unspoken), channelOf("not_here"), channelOf("")
	for _, c := range []struct {
		name, path string
		status     int
	}{
		{"its provider's URL", "x_chat/" + named, 200},
		{"its adapter's name in place of the provider's", "scripted/" + named, 404},
		{"nothing speaks for it", "x_chat/" + unspoken, 404},
		{"its adapter is not here", "x_chat/" + unknown, 404},
		{"it names none, and its provider has none", "x_chat/" + older, 404},
	} {
		s.asked = nil
		w.server.As(nil).Do(http.MethodPost, "/v1/callbacks/"+c.path, `{}`).Want(t, c.name, c.status, "")
		if (len(s.asked) == 1) != (c.status == 200) {
			t.Errorf("%s: the adapter was asked %q", c.name, s.asked)
		}
	}
}

// A reply that quotes a message by the provider's id is shown as the answer to it, if it is of that conversation.
func TestAReplyThatQuotesByTheProvidersIDIsItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ch, m := w.scripted(provider.Capabilities{OwnIDsOnly: true})
	other, err := w.ids.NewMessage(w.keyer.Key(acct, ch, "+35799000009"))
	if err != nil {
		t.Fatal(err)
	}
	for key, mid := range map[string]id.Message{"41": m.ID, "42": other} {
		if err := w.messages.KeepProviderID(t.Context(), acct, ch, key, mid); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(text, to string) provider.Event {
		e := reply(text, w.clock.Now())
		e.Reply.ReplyToProviderID = to
		return e
	}
	if status := w.tell(s, ch, answer("a", "41"), answer("b", "42"), answer("c", "43")); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	for _, got := range w.inbox(ch) {
		want := ""
		if got.Content.Text == "a" {
			want = m.ID.String()
		}
		if got.ReplyTo != want {
			t.Errorf("%s answers %q, want %q", got.Content.Text, got.ReplyTo, want)
		}
	}
}

// what a recipient tells the provider is an opt-out, which the same word takes back; what the account entered stays.
func TestAnOptOutAtTheProviderIsRecordedAndTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ch, _ := w.scripted(provider.Capabilities{})
	out := func(lifted bool) provider.Event {
		return provider.Event{OptOut: &provider.OptOut{From: person, Lifted: lifted, At: w.clock.Now()}}
	}
	for _, c := range []struct {
		name   string
		events []provider.Event
		want   bool
	}{
		{"the bot is blocked", []provider.Event{out(false)}, true},
		{"once more", []provider.Event{out(false)}, true},
		{"it is let in again", []provider.Event{out(true)}, false},
		{"once more as well", []provider.Event{out(true)}, false},
		{"both in one callback, in their order", []provider.Event{out(true), out(false)}, true},
	} {
		if status := w.tell(s, ch, c.events...); status != http.StatusOK || w.optedOut(ch) != c.want {
			t.Errorf("%s: answered %d, opted out %v", c.name, status, w.optedOut(ch))
		}
	}
	store, r := w.recipients(person)
	list, err := store.OptOuts(t.Context(), r)
	if err != nil || len(list) != 1 || list[0].Source != recipient.ByProvider {
		t.Errorf("shown as %+v, %v", list, err)
	}
	w.tell(s, ch, out(true))
	if _, err := store.OptOut(t.Context(), r, ch, byUser()); err != nil {
		t.Fatal(err)
	}
	if w.tell(s, ch, out(true)); !w.optedOut(ch) {
		t.Error("the provider took back what the account entered")
	}
}

// The reply window opens with the recipient's own time, never moves back, and is kept only where only some forms may go
// outside of it.
func TestAReplyOpensTheWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		outside []content.Type
		want    []time.Duration
	}{
		{"where only a template may go later", []content.Type{content.TypeTemplate}, []time.Duration{-time.Hour, -time.Hour, 0}},
		{"where the provider decides by the content", nil, nil},
	} {
		w := newWorld(t)
		s, ch, m := w.scripted(provider.Capabilities{ReplyWindow: 24 * time.Hour, OutsideWindow: c.outside})
		now := w.clock.Now()
		for i, at := range []time.Time{now.Add(-time.Hour), now.Add(-2 * time.Hour), now.Add(time.Hour)} {
			if status := w.tell(s, ch, reply(string(rune('a'+i)), at)); status != http.StatusOK {
				t.Fatalf("%s: answered %d", c.name, status)
			}
			closes, err := w.messages.WindowCloses(t.Context(), acct, m.ID.Conversation)
			want := time.Time{}
			if c.want != nil {
				want = now.Add(24 * time.Hour).Add(c.want[i])
			}
			if err != nil || !closes.Equal(want) {
				t.Errorf("%s: after reply %d it closes at %v, %v, want %v", c.name, i, closes, err, want)
			}
		}
	}
}

// A provider that checks the URL by a GET gets the answer that it wants, and nobody else does; an adapter is told the URL as
// the provider called it.
func TestAProviderThatChecksTheURLGetsItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ch, _ := w.scripted(provider.Capabilities{CallbackStatus: http.StatusNoContent})
	url := "/v1/callbacks/scripted/" + ch
	for _, c := range []struct {
		name, method, query string
		want                int
		body                string
	}{
		{"with the token", http.MethodGet, "?token=right&challenge=1158201444", http.StatusOK, "1158201444"},
		{"with another", http.MethodGet, "?token=wrong&challenge=1158201444", http.StatusForbidden, ""},
		{"without", http.MethodGet, "", http.StatusForbidden, ""},
		{"by a HEAD", http.MethodHead, "?challenge=1", http.StatusOK, ""},
	} {
		a := w.server.As(nil).Do(c.method, url+c.query, "")
		if a.Status != c.want || c.want == http.StatusOK && a.Body != c.body || strings.Contains(a.Body, "1158201444") != (c.body != "") {
			t.Errorf("%s: answered %d %q", c.name, a.Status, a.Body)
		}
	}
	if status := w.server.As(nil).Do(http.MethodPost, url+"?message_id=msg_1", `{}`).Status; status != http.StatusNoContent {
		t.Errorf("a callback is answered %d, want what the provider wants to hear", status)
	}
	if want := "https://api.example.com" + url + "?message_id=msg_1"; !slices.Contains(s.asked, want) {
		t.Errorf("the adapter was told %v, want %s", s.asked, want)
	}
}
