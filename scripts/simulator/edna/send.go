package edna

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/scripts/simulator/stage"
)

const (
	// sameMessage is how long an identical message to the same person is cancelled.
	sameMessage = 20 * time.Minute
	// replyWindow is WhatsApp's customer-service window.
	replyWindow = 24 * time.Hour
)

// order is the body of cascade/schedule.
type order struct {
	RequestID        string    `json:"requestId"`
	CascadeID        anyNumber `json:"cascadeId"`
	SubscriberFilter struct {
		Address string `json:"address"`
		Type    string `json:"type"`
	} `json:"subscriberFilter"`
	StartTime *time.Time `json:"startTime"`
	Comment   string     `json:"comment"`
	Content   *struct {
		WhatsApp json.RawMessage `json:"whatsappContent"`
	} `json:"content"`
}

// anyNumber takes 111 and "111".
type anyNumber int64

func (n *anyNumber) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*n = anyNumber(v)
	return err
}

// read is the body of cascade/schedule as far as it could be read.
type read struct {
	order
	err error
}

// peek reads what a call is about before it is judged, so that also a failed one is remembered with it.
func (s *Simulator) peek(c *call) {
	in := &read{}
	in.err = json.Unmarshal(c.Body, &in.order)
	c.Own, c.RequestID, c.To = in, in.RequestID, in.SubscriberFilter.Address
	c.Sender = senderID(s.byCascade[int64(in.CascadeID)].SubjectID)
}

// violation is the general error of cascade/schedule. Its detail quotes what it is about, as edna's do.
func (c *call) violation(what string) {
	c.problem(http.StatusBadRequest, "cascade-scheduling-request-not-valid", "Cascade scheduling request is not valid. Violations: "+what)
}

func (c *call) refuse(title string) {
	c.problem(http.StatusBadRequest, title, strings.ReplaceAll(title, "-", " "))
}

func (s *Simulator) schedule(c *call) {
	in := c.Own.(*read)
	if in.err != nil || !utf8.Valid(c.Body) {
		c.problem(http.StatusInternalServerError, "error-system", "System error")
		return
	}
	o := in.order
	address := strings.TrimPrefix(o.SubscriberFilter.Address, "+")
	switch {
	case o.RequestID == "":
		c.violation("requestId must not be empty")
		return
	case o.SubscriberFilter.Type != "PHONE":
		c.violation("subscriberFilter.type '" + o.SubscriberFilter.Type + "' is not supported")
		return
	case !isPhone(address):
		c.violation("subscriberFilter.address '" + o.SubscriberFilter.Address + "' is not valid")
		return
	}
	// What is known is answered before what is asked for is read: a repeat is a repeat whatever it holds.
	s.mu.Lock()
	_, repeated := s.taken[o.RequestID]
	sender, known := s.byCascade[int64(o.CascadeID)]
	s.mu.Unlock()
	var w whatsapp
	switch {
	case repeated:
		c.Duplicate = true
		c.refuse("requestId-is-not-unique")
		return
	case !known || sender.CascadeDisabled || sender.Inactive:
		c.refuse("cascade-not-found")
		return
	case o.Content == nil:
		c.refuse("content-not-specified")
		return
	case len(o.Content.WhatsApp) == 0 || string(o.Content.WhatsApp) == "null":
		c.refuse("request-doesn't-contain-content-for-all-cascade-stages")
		return
	case json.Unmarshal(o.Content.WhatsApp, &w) != nil:
		c.problem(http.StatusInternalServerError, "error-system", "System error")
		return
	}
	if title := w.fault(); title != "" {
		c.refuse(title)
		return
	}
	s.accept(c, o, sender, address, w)
}

// accept takes a message, once, and lets its statuses follow.
func (s *Simulator) accept(c *call, o order, sender Sender, address string, w whatsapp) {
	now := s.stage.Now()
	s.mu.Lock()
	if _, repeated := s.taken[o.RequestID]; repeated {
		s.mu.Unlock()
		c.Duplicate = true
		c.refuse("requestId-is-not-unique")
		return
	}
	s.nextID++
	m := &message{
		id: s.nextID, requestID: o.RequestID, comment: o.Comment, direction: "OUT", subject: sender.SubjectID,
		cascade: sender.CascadeID, address: address, status: "ENQUEUED", at: now, stage: "00000000-0000-4000-8000-" + pad(sender.CascadeID),
	}
	s.taken[m.requestID] = m
	s.history.Add(m)
	b := s.stage.Behaviour(c.Sender)
	life := stage.Life{Statuses: s.fate(m, w, o.Content.WhatsApp, now, b), Tell: s.tell(m, b.StatusError)}
	s.mu.Unlock()

	c.reply(map[string]string{"requestId": m.requestID})
	if o.StartTime != nil {
		life.Wait = o.StartTime.Sub(now)
	}
	s.stage.Accept(c.Exchange, life)
}

// tell reports a message's statuses, with an error for those that are failures.
func (s *Simulator) tell(m *message, failure string) func(string, time.Time, stage.Behaviour) stage.Callback {
	return func(status string, at time.Time, now stage.Behaviour) stage.Callback {
		s.mu.Lock()
		m.status = strings.ToUpper(status)
		hook := s.hook(m.subject).status
		s.mu.Unlock()
		return s.callback(hook, statusBody(m, s.bySubject[m.subject], status, failure, at), now)
	}
}

func pad(n int64) string {
	d := strconv.FormatInt(n, 10)
	return strings.Repeat("0", max(0, 12-len(d))) + d
}

// fate decides what becomes of a message. The caller holds mu.
func (s *Simulator) fate(m *message, w whatsapp, raw []byte, now time.Time, b stage.Behaviour) []string {
	key := sha256.Sum256(slices.Concat([]byte(strconv.FormatInt(m.subject, 10)+" "+m.address+" "), raw))
	before, seen := s.recent[key]
	s.sweepRecent(now)
	if seen && now.Sub(before) < sameMessage {
		return []string{"cancelled"}
	}
	s.recent[key] = now
	wrote, ever := s.lastWrote[person{m.subject, m.address}]
	open := ever && now.Sub(wrote) < replyWindow
	if ownOf(b).StrictWindow && !open && !s.matches(m.subject, w) {
		return []string{"no-match-template"}
	}
	return b.Fate("sent", "delivered", "read")
}

// sweepRecent forgets messages older than the rule reaches, now and then. The caller holds mu.
func (s *Simulator) sweepRecent(now time.Time) {
	if now.Sub(s.recentSwept) < time.Minute {
		return
	}
	s.recentSwept = now
	for k, at := range s.recent {
		if now.Sub(at) >= sameMessage {
			delete(s.recent, k)
		}
	}
}

func statusBody(m *message, sender Sender, status, failure string, at time.Time) map[string]any {
	out := map[string]any{
		"requestId": m.requestID, "messageId": m.id, "cascadeId": m.cascade, "cascadeStageUUID": m.stage,
		"subject": sender.Subject, "subjectId": m.subject, "status": strings.ToUpper(status), "statusAt": at.UTC().Format(time.RFC3339),
		"error": nil, "comment": nil, "paymentData": nil,
	}
	if m.comment != "" {
		out["comment"] = m.comment
	}
	switch strings.ToLower(status) {
	case "sent", "delivered", "read", "enqueued", "delayed", "cancelled", "expired":
	case "no-match-template":
		out["error"] = "not-template-match"
	default:
		if failure != "" {
			out["error"] = failure
		}
	}
	return out
}

func isPhone(s string) bool {
	if len(s) < 5 || len(s) > 15 {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}
