//go:build e2e

package e2e

import (
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"
)

// the message shows the route that it took: channel, provider, the provider's id, attempts.
func TestFirstMessageIsDeliveredReadAndAnswered(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 100})
	to := person()

	// Nothing goes before the Rules are accepted.
	created := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "x"}), http.StatusCreated)
	s.senders.take()
	t.Cleanup(s.senders.giveBack)
	t.Cleanup(func() { a.deleteChannel(created.ID) })
	current := decode[rules](t, a.call(t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK)
	a.call(t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", a.confirmations(current.Version)).refused(t, http.StatusForbidden, "rules_not_accepted")
	a.call(t, http.MethodPost, "/v1/messages", order(created, to, text("hello"))).refused(t, http.StatusForbidden, "rules_not_accepted")

	a.accept()
	if created.Status != "inactive" {
		t.Errorf("a new channel is %s", created.Status)
	}
	a.call(t, http.MethodPost, "/v1/messages", order(created, to, text("hello"))).refused(t, http.StatusConflict, "channel_inactive")
	outdated := a.confirmations(current.Version)
	outdated["transfer_countries"] = []string{"AQ"}
	p := a.call(t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", outdated).refused(t, http.StatusConflict, "confirmation_outdated")
	if p.RulesVersion != current.Version || !slices.Equal(p.TransferCountries, a.provider().TransferCountries) {
		t.Errorf("the problem does not tell what is in force: %+v", p)
	}
	ch := decode[channel](t, a.call(t, http.MethodPost, "/v1/channels/"+created.ID+"/activate", a.confirmations(current.Version)), http.StatusOK)
	if ch.Status != "active" || ch.ActivatedBy != "user_1" || ch.ActivatedAt == nil || ch.CallbackURL == "" || ch.Type != "whatsapp" {
		t.Errorf("the active channel: %+v", ch)
	}
	s.behave(t, ch.sender(t), nil)

	body := "Your order is ready " + unique("")
	got := a.call(t, http.MethodPost, "/v1/messages", order(ch, to, text(body), "client_reference", "deal-1842"))
	m := decode[message](t, got, http.StatusAccepted)
	if got.header.Get("Location") != "/v1/messages/"+m.ID {
		t.Errorf("Location is %q", got.header.Get("Location"))
	}
	limits(t, got, 100, 100, 1000)
	want := message{Status: "queued", ChannelID: ch.ID, ProviderID: "edna", Direction: "outbound", To: to, ClientReference: "deal-1842", CreatedBy: "user_1", RulesVersion: current.Version}
	if m.Status != want.Status || m.ChannelID != want.ChannelID || m.ProviderID != want.ProviderID || m.Direction != want.Direction || m.To != want.To ||
		m.ClientReference != want.ClientReference || m.CreatedBy != want.CreatedBy || m.RulesVersion != want.RulesVersion || m.Content.Text == nil ||
		*m.Content.Text != body || m.ContentSHA256 != sha(body) || m.CreatedAt == nil || m.UpdatedAt == nil || m.ConversationID == "" {
		t.Errorf("the accepted message: %v", m)
	}

	read := a.until(m.ID, 10*time.Second, "read", status("read"))
	if read.Attempts != 1 || read.TransferCompletedAt == nil || read.TransferCompletedAt.Before(m.CreatedAt.Time) || read.ContentSHA256 != sha(body) || read.Error != nil {
		t.Errorf("the read message: %v", read)
	}
	var steps []string
	for i, step := range read.Timeline {
		steps = append(steps, step.Status)
		if i > 0 && step.At.Before(read.Timeline[i-1].At.Time) {
			t.Errorf("the timeline goes backwards: %v", read)
		}
	}
	// the parts of its time sum to what the timeline spans.
	span := read.Timeline[len(read.Timeline)-1].At.Sub(read.Timeline[0].At.Time).Milliseconds()
	if l := read.Latency; l == nil || l.ProviderMs == nil || l.HeldMs != nil || l.QueueMs+*l.ProviderMs != l.TotalMs || l.TotalMs != span {
		t.Errorf("the split of its %d ms: %+v", span, l)
	}
	// Statuses may be skipped: "sent" by the provider's own callback is one with ours.
	if len(steps) < 3 || steps[0] != "queued" || steps[len(steps)-1] != "read" || !slices.IsSortedFunc(steps, byRank) {
		t.Errorf("the timeline: %v", steps)
	}
	if n := acceptedOnce(t, s.callsFor(t, m.ID)); n != 1 {
		t.Errorf("the provider accepted it %d times", n)
	}
	a.untilUsed(10*time.Second, 1)

	// The person answers.
	reply := "Thank you " + unique("")
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: reply, ReplyTo: m.ID})
	var answer message
	wait(t, 5*time.Second, func() (bool, string) {
		for _, x := range a.messages("conversation_id=" + m.ConversationID) {
			if x.Direction == "inbound" {
				answer = x
			}
		}
		return answer.ID != "", "no reply in the conversation"
	})
	if answer.Status != "received" || answer.From != to || answer.ReplyTo != m.ID || *answer.Content.Text != reply || answer.ContentSHA256 != sha(reply) || answer.ConversationID != m.ConversationID {
		t.Errorf("the reply: %v", answer)
	}
	if again := a.message(answer.ID); again.ID != answer.ID || again.Direction != "inbound" {
		t.Errorf("the reply by its id: %v", again)
	}
	c := decode[conversation](t, a.call(t, http.MethodGet, "/v1/conversations/"+m.ConversationID, nil), http.StatusOK)
	if c.ID != m.ConversationID || c.ChannelID != ch.ID || c.Address != to || c.LastInboundAt == nil || c.LastOutboundAt == nil || c.ReplyWindowClosesAt == nil {
		t.Errorf("the conversation: %+v", c)
	}
	if got := c.ReplyWindowClosesAt.Sub(c.LastInboundAt.Time); got != 24*time.Hour {
		t.Errorf("the reply window is open for %v", got)
	}
	all := pages[conversation](t, a.caller, "/v1/conversations?channel_id="+ch.ID)
	if len(all) != 1 || all[0].ID != c.ID {
		t.Errorf("the channel's conversations: %+v", all)
	}

	// The agent answers in the conversation.
	second := a.send(map[string]any{"conversation_id": m.ConversationID, "content": text("You are welcome " + unique(""))})
	if second.To != to || second.ChannelID != ch.ID || second.ConversationID != m.ConversationID {
		t.Errorf("the answer in the conversation: %v", second)
	}
	a.until(second.ID, 10*time.Second, "read", status("read"))
	a.untilUsed(10*time.Second, 2)

	// Newest first, and page by page.
	var ids []string
	for _, x := range pages[message](t, a.caller, "/v1/messages?page_size=1&conversation_id="+m.ConversationID) {
		ids = append(ids, x.ID)
	}
	if !slices.Equal(ids, []string{second.ID, answer.ID, m.ID}) {
		t.Errorf("the conversation's messages: %v, want %v", ids, []string{second.ID, answer.ID, m.ID})
	}
	if found := a.messages("client_reference=deal-1842"); len(found) != 1 || found[0].ID != m.ID {
		t.Errorf("messages of the client_reference: %v", found)
	}
	if found := a.messages("status=received&conversation_id=" + m.ConversationID); len(found) != 1 || found[0].ID != answer.ID {
		t.Errorf("received messages: %v", found)
	}
}

func rank(status string) int {
	return slices.Index([]string{"scheduled", "queued", "held", "sending", "failed", "unknown", "expired", "sent", "delivered", "read"}, status)
}

func byRank(a, b string) int { return rank(a) - rank(b) }

var (
	policyHeader = regexp.MustCompile(`^"plan-period";q=(\d+);w=\d+, "plan-rate";q=(\d+);w=\d+$`)
	limitHeader  = regexp.MustCompile(`^"plan-period";r=(\d+);t=\d+, "plan-rate";r=\d+;t=\d+$`)
)

// limits holds the RateLimit headers to a plan, and to how much of it must be left at least.
func limits(t *testing.T, a *answer, limit, remaining, rate int64) {
	t.Helper()
	policy, now := policyHeader.FindStringSubmatch(a.header.Get("RateLimit-Policy")), limitHeader.FindStringSubmatch(a.header.Get("RateLimit"))
	if policy == nil || now == nil {
		t.Errorf("RateLimit-Policy %q, RateLimit %q", a.header.Get("RateLimit-Policy"), a.header.Get("RateLimit"))
		return
	}
	if policy[1] != itoa(limit) || policy[2] != itoa(rate) || now[1] != itoa(remaining) {
		t.Errorf("RateLimit-Policy %q, RateLimit %q; want limit %d with %d left, rate %d", policy[0], now[0], limit, remaining, rate)
	}
}

func TestLocationAndTemplateReachTheProvider(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	latitude, longitude := 34.6786, 33.0413
	m := a.send(order(ch, person(), content{Type: "location", Latitude: &latitude, Longitude: &longitude, Address: "Limassol"}))
	if want := sha(`{"address":"Limassol","latitude":34.6786,"longitude":33.0413,"type":"location"}`); m.ContentSHA256 != want {
		t.Errorf("content_sha256 of a location is %s, want %s", m.ContentSHA256, want)
	}
	a.until(m.ID, 10*time.Second, "read", status("read"))
	calls := s.callsFor(t, m.ID)
	if len(calls) != 1 || calls[0].Request.Content.WhatsApp.ContentType != "LOCATION" {
		t.Errorf("what the provider got: %+v", calls)
	}

	m = a.send(order(ch, person(), content{Type: "template", Name: "order_shipped", Language: "en", Variables: map[string]string{"1": "Ann", "2": "1842"}}))
	a.until(m.ID, 10*time.Second, "read", status("read"))
	calls = s.callsFor(t, m.ID)
	if len(calls) != 1 || calls[0].Request.Content.WhatsApp.Text == nil || *calls[0].Request.Content.WhatsApp.Text != "Hello Ann, your order 1842 is on its way." {
		t.Errorf("what the provider got: %+v", calls)
	}

	for name, refused := range map[string]struct {
		what map[string]any
		code string
	}{
		"a picture's caption":  {map[string]any{"type": "media", "kind": "image", "url": "https://example.com/a.png", "caption": "Look"}, "content_not_supported"},
		"a button with a URL":  {map[string]any{"type": "interactive", "text": "x", "buttons": []any{map[string]any{"title": "a", "url": "https://example.com"}}}, "content_not_supported"},
		"a location's name":    {map[string]any{"type": "location", "latitude": 1, "longitude": 2, "name": "Pier"}, "content_not_supported"},
		"an over-long text":    {map[string]any{"type": "text", "text": longText(4097)}, "content_not_supported"},
		"an unknown type":      {map[string]any{"type": "smoke_signal", "puffs": 3}, "invalid_request"},
		"a latitude of 91":     {map[string]any{"type": "location", "latitude": 91, "longitude": 2}, "invalid_request"},
		"a text that is empty": {map[string]any{"type": "text", "text": ""}, "invalid_request"},
	} {
		got := a.call(t, http.MethodPost, "/v1/messages", map[string]any{"channel_id": ch.ID, "to": person(), "content": refused.what})
		if got.status != http.StatusUnprocessableEntity || got.problem(t).Code != refused.code {
			t.Errorf("%s: want 422 %s: %v", name, refused.code, got)
		}
	}
	if u := a.untilUsed(10*time.Second, 2); u.Used != 2 {
		t.Errorf("used: %+v", u)
	}
}

func longText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}
