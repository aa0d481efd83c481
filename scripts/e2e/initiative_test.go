//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// unwelcome are texts that a filter would look at: the way of each must be that of any other.
var unwelcome = []string{
	"FREE VIAGRA!!! Click http://bit.ly/x now", "You have WON $1,000,000 — send your bank details", "casino bonus 200% ♠♥♦♣", "buy crypto now, guaranteed profit", "password: hunter2, card 4111 1111 1111 1111 CVV 123",
	"<script>alert(1)</script><img src=x onerror=alert(1)>", "'; DROP TABLE messages; --", "f*** you, you a******", "Vote for me on Sunday", "escort 24/7 call now", "STOP", "UNSUBSCRIBE", "stop all",
	"javascript:alert(document.cookie)", "https://user:pass@evil.example/%2e%2e/login?token=abc", "EICAR X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "weapon, bomb, drugs, porn", "IGNORE ALL PREVIOUS INSTRUCTIONS",
}

// asked is an outbound message as a user asked for it.
type asked struct {
	account *account
	id      string
	channel channel
	to      string
	text    string
	user    string
}

// world is the random run: accounts, what was asked for, and what people wrote.
type world struct {
	t        *testing.T
	s        *stack
	random   *rand.Rand
	accounts []*account
	channels map[*account][]channel
	// people are few, so that many messages go to one and the same.
	people   map[*account][]string
	asked    map[string]asked
	inbound  map[string]int
	refused  map[string]int
	disabled bool
	// restrictions are those in force.
	restrictions []string
	entry        map[string]any
}

func (w *world) account() *account { return w.accounts[w.random.IntN(len(w.accounts))] }

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// send lets one of three users send; a refusal is an answer too.
func (w *world) send() {
	a := w.account()
	user := fmt.Sprintf("user_%d", 1+w.random.IntN(3))
	ch, to := pick(w.random, w.channels[a]), pick(w.random, w.people[a])
	body := pick(w.random, unwelcome) + " " + unique("")
	o := order(ch, to, text(body), "on_limit", pick(w.random, []string{"hold", "reject"}), "client_reference", pick(w.random, []string{"a", "b"}))
	c := w.s.user(w.t, a.id, user, allScopes)
	key := unique("key-")
	for range 1 + w.random.IntN(2) { // a repeat under the same key is the same message
		got := c.call(w.t, http.MethodPost, "/v1/messages", o, "Idempotency-Key", key)
		if got.status != http.StatusAccepted {
			w.refused[got.problem(w.t).Code]++
			continue
		}
		m := decode[message](w.t, got, http.StatusAccepted)
		if m.Content.Text == nil || *m.Content.Text != body || m.ContentSHA256 != sha(body) || m.To != to {
			w.t.Errorf("asked for %q to %s: %v", body, to, m)
		}
		w.asked[m.ID] = asked{a, m.ID, ch, to, body, user}
	}
}

func (w *world) cancel() {
	for _, m := range w.asked { // any one
		got := m.account.call(w.t, http.MethodPost, "/v1/messages/"+m.id+"/cancel", nil)
		switch got.status {
		case http.StatusOK, http.StatusConflict:
		case http.StatusServiceUnavailable:
			// A dispatcher that was killed has a held message in hand until its lease is over.
			got.refused(w.t, http.StatusServiceUnavailable, "try_again")
		default:
			w.t.Errorf("%v", got)
		}
		return
	}
}

// write lets a person write something that other systems would answer by themselves.
func (w *world) write() {
	a := w.account()
	ch := pick(w.random, w.channels[a])
	words := pick(w.random, []string{"STOP", "stop", "UNSUBSCRIBE", "START", "HELP", "Where is my order?", "Are you there", "СТОП", "1"})
	body := words + pick(w.random, []string{"", " " + unique(""), "? " + unique("")})
	s, t := w.s, w.t
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(pick(w.random, w.people[a])), Text: body})
	w.inbound[a.id+" "+body]++
}

// choose opens a channel again to somebody who said STOP, as the account may who was told so, or closes one.
func (w *world) choose() {
	a := w.account()
	address := pick(w.random, w.people[a])
	got := a.call(w.t, http.MethodPost, "/v1/recipients/lookup", map[string]any{"address": address})
	if got.status == http.StatusNotFound {
		return // nobody has written to them yet
	}
	method := pick(w.random, []string{http.MethodDelete, http.MethodDelete, http.MethodDelete, http.MethodPut})
	for _, ch := range w.channels[a] {
		if got := a.call(w.t, method, "/v1/recipients/"+decode[recipient](w.t, got, http.StatusOK).ID+"/opt-outs/"+ch.ID, nil); got.status >= 300 && got.status != http.StatusNotFound {
			w.t.Errorf("%v", got)
		}
	}
}

// turn switches the provider off and on.
func (w *world) turn() {
	w.disabled = !w.disabled
	body := maps.Clone(w.entry)
	body["status"] = map[bool]string{true: "disabled", false: "enabled"}[w.disabled]
	if got := w.s.operator(w.t).call(w.t, http.MethodPut, "/v1/operator/providers/edna", body); got.status != http.StatusOK {
		w.t.Fatal(got)
	}
}

// restrict blocks or limits an account or a channel, or lifts what is in force.
func (w *world) restrict() {
	if len(w.restrictions) > 0 && w.random.IntN(2) == 0 {
		w.lift()
		return
	}
	a := w.account()
	body := map[string]any{"kind": "block", "reason": "a test", "clause": "13"}
	switch w.random.IntN(3) {
	case 0:
		body["kind"], body["limit"] = "limit", w.random.IntN(30)
	case 1:
		body["scope"] = map[string]any{"channel_id": pick(w.random, w.channels[a]).ID}
	}
	got := w.s.operator(w.t).call(w.t, http.MethodPost, "/v1/operator/accounts/"+a.id+"/restrictions", body)
	if got.status == http.StatusCreated {
		w.restrictions = append(w.restrictions, got.header.Get("Location"))
	} else if got.status != http.StatusConflict && got.status != http.StatusUnprocessableEntity {
		w.t.Errorf("%v", got)
	}
}

// reset runs the scheduled reset, which may be killed in the middle.
func (w *world) reset() { w.s.invoke(w.t, "QuotaResetFunction", []byte(`{"source":"schedule"}`)) }

func (w *world) lift() {
	at := w.restrictions[0]
	w.restrictions = w.restrictions[1:]
	if got := w.s.operator(w.t).call(w.t, http.MethodDelete, at, nil); got.status >= 300 {
		w.t.Errorf("%v", got)
	}
}

// deactivate and activate a channel, as a user does.
func (w *world) renew() {
	a := w.account()
	ch := pick(w.random, w.channels[a])
	a.call(w.t, http.MethodPost, "/v1/channels/"+ch.ID+"/deactivate", nil)
	w.activate(a, ch)
}

func (w *world) activate(a *account, ch channel) {
	version := decode[rules](w.t, a.call(w.t, http.MethodGet, "/v1/rules/current", nil), http.StatusOK).Version
	if got := a.call(w.t, http.MethodPost, "/v1/channels/"+ch.ID+"/activate", a.confirmations(version)); got.status != http.StatusOK && got.status != http.StatusConflict && got.status != http.StatusForbidden { // 403: restricted
		w.t.Errorf("%v", got)
	}
}

func (w *world) step() {
	// Nothing is closed for long, or nothing would happen.
	if w.disabled && w.random.IntN(20) == 0 {
		w.turn()
	}
	if len(w.restrictions) > 0 && w.random.IntN(20) == 0 {
		w.lift()
	}
	switch n := w.random.IntN(100); {
	case n < 50:
		w.send()
	case n < 60:
		w.choose()
	case n < 68:
		w.cancel()
	case n < 80:
		w.write()
	case n < 84:
		a := w.account()
		a.setPlan(w.s, plan{Limit: int64(w.random.IntN(200)), Rate: 1000})
	case n < 85:
		if !w.disabled {
			w.turn()
		}
	case n < 89:
		w.restrict()
	case n < 91:
		w.reset()
	case n < 93:
		w.renew()
	case n < 95:
		w.s.kill(w.t, pick(w.random, []string{"dispatcher", "quotareset"}), time.Duration(w.random.IntN(5))*time.Millisecond)
	default:
		w.s.behave(w.t, pick(w.random, w.channels[w.account()]).sender(w.t), pick(w.random, []map[string]any{
			nil, nil, {"fail_status": 503}, {"fail_status": 400}, {"drop_answer": true}, {"repeat_callbacks": 3}, {"reorder_callbacks": true},
		}))
	}
}

// settle opens everything again, and waits until nothing waits.
func (w *world) settle() {
	w.s.behave(w.t, 0, nil)
	for _, list := range w.channels {
		for _, ch := range list {
			w.s.behave(w.t, ch.sender(w.t), nil)
		}
	}
	if w.disabled {
		w.turn()
	}
	for len(w.restrictions) > 0 {
		w.lift()
	}
	for _, a := range w.accounts {
		a.setPlan(w.s, plan{Limit: 100_000, Rate: 1000})
		for _, ch := range w.channels[a] {
			w.activate(a, ch)
		}
	}
	// A message whose holder was killed is taken over when the lease is over.
	wait(w.t, 6*time.Minute, func() (bool, string) {
		w.reset()
		for _, m := range w.asked {
			if got := m.account.message(m.id); !got.final() {
				return false, "waits still: " + got.String()
			}
		}
		return true, ""
	})
}

// whatever happens, each call that a provider sees is the handing over of one
// message that a user asked for: its bytes, its address, taken once. Nothing answers by itself, not even a STOP, and
// neither a schedule nor a callback makes a message.
func TestEveryCallOfTheProviderIsAskedForByAUser(t *testing.T) {
	t.Parallel()
	s := ownStack(t, nil)
	seed := uint64(time.Now().UnixNano())
	if raw := os.Getenv("E2E_SEED"); raw != "" {
		var err error
		if seed, err = strconv.ParseUint(raw, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("E2E_SEED=%d", seed)
	w := &world{t: t, s: s, random: rand.New(rand.NewPCG(seed, 0)), channels: map[*account][]channel{}, people: map[*account][]string{}, asked: map[string]asked{}, inbound: map[string]int{}, refused: map[string]int{}, entry: map[string]any{}}
	for i := range 3 {
		a := newAccount(t, s, plan{Limit: 50, Rate: 1000})
		w.accounts = append(w.accounts, a)
		for range 1 + i {
			w.channels[a] = append(w.channels[a], a.channel())
		}
		for range 6 {
			w.people[a] = append(w.people[a], person())
		}
	}
	for k, v := range decode[map[string]any](t, s.operator(t).call(t, http.MethodGet, "/v1/operator/providers/edna", nil), http.StatusOK) {
		if k != "id" && k != "health" && k != "since" && k != "credential_fields" && k != "version" {
			w.entry[k] = v
		}
	}
	// Some seeds leave much closed for long: then it goes on until enough was asked for.
	for n, steps := 0, scaled(300, 5000); n < steps || len(w.asked) < 60 && n < 10*steps; n++ {
		w.step()
		// The functions remember channels and providers for 5 s: a run is longer than that.
		time.Sleep(40 * time.Millisecond)
	}
	w.settle()

	ends := w.checkCalls()
	w.checkMessages()
	t.Logf("%d messages asked for, %v; refused: %v", len(w.asked), ends, w.refused)
	if len(w.asked) < 30 || ends["taken"] < 20 {
		t.Errorf("too little happened to show anything")
	}
}

// checkCalls joins what the provider saw to what was asked for.
func (w *world) checkCalls() map[string]int {
	ends := map[string]int{}
	taken := map[string]int{}
	for _, c := range w.s.sends(w.t, "") {
		ends["calls"]++
		m, ok := w.asked[c.RequestID]
		if !ok {
			w.t.Errorf("nobody asked for %+v", c)
			continue
		}
		if got := c.Request.Content.WhatsApp.Text; got == nil || *got != m.text {
			w.t.Errorf("the provider got %v for %q", got, m.text)
		}
		if c.Request.SubscriberFilter.Address != digits(m.to) || c.SenderID != m.channel.sender(w.t) {
			w.t.Errorf("asked for %s by %s, handed over: %+v", m.to, m.channel.Address, c)
		}
		if c.Accepted {
			taken[c.RequestID]++
		}
	}
	for id, n := range taken {
		ends["taken"]++
		if n != 1 {
			w.t.Errorf("%s was taken %d times", id, n)
		}
	}
	return ends
}

// checkMessages looks at all that the accounts have: it is what their users asked for, and what people wrote.
func (w *world) checkMessages() {
	found := map[string]int{}
	outbound := 0
	for _, a := range w.accounts {
		for _, ch := range w.channels[a] {
			for _, cnv := range pages[conversation](w.t, a.caller, "/v1/conversations?page_size=200&channel_id="+ch.ID) {
				for _, m := range a.messages("conversation_id=" + cnv.ID) {
					if m.Direction == "inbound" {
						found[a.id+" "+*m.Content.Text]++
						continue
					}
					outbound++
					was, ok := w.asked[m.ID]
					if !ok || m.CreatedBy != was.user || *m.Content.Text != was.text || m.To != was.to || m.ContentSHA256 != sha(was.text) {
						w.t.Errorf("%s asked for %+v, there is %v", was.user, was, m)
					}
				}
			}
		}
	}
	if outbound != len(w.asked) {
		w.t.Errorf("%d messages were asked for, there are %d", len(w.asked), outbound)
	}
	for _, what := range slices.Sorted(maps.Keys(w.inbound)) {
		if found[what] != w.inbound[what] {
			w.t.Errorf("%q was written %d times, %d are there", what, w.inbound[what], found[what])
		}
	}
	if len(found) != len(w.inbound) {
		w.t.Errorf("%d texts were written, %d are there", len(w.inbound), len(found))
	}
}
