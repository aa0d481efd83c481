package edna

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// simRoutes are how a test or a person steers the simulator:
//
//	PUT, GET _sim/behaviour     how it behaves from now on (type behaviour)
//	POST     _sim/inbound       a recipient writes
//	GET      _sim/calls         what it saw: ?sender_id= ?request_id= ?path= ?after=SEQ ?limit=
//	POST     _sim/reset         forgets messages, calls and behaviour; keeps senders, templates and registered webhooks
func (s *Simulator) simRoutes() {
	s.mux.HandleFunc("PUT /_sim/behaviour", s.putBehaviour)
	s.mux.HandleFunc("GET /_sim/behaviour", s.getBehaviour)
	s.mux.HandleFunc("POST /_sim/inbound", s.postInbound)
	s.mux.HandleFunc("GET /_sim/calls", s.getCalls)
	s.mux.HandleFunc("POST /_sim/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		s.forget()
		s.mu.Unlock()
		s.queue.clear()
		w.WriteHeader(http.StatusNoContent)
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(marshal(v), '\n'))
}

func complain(w http.ResponseWriter, status int, what string) {
	answer(w, status, map[string]string{"error": what})
}

// read takes a steering body; a field that it does not know is a mistake of the one who steers.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && err != io.EOF {
		complain(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

func (s *Simulator) putBehaviour(w http.ResponseWriter, r *http.Request) {
	b := defaultBehaviour()
	b.FailRate = rateAbsent
	if !read(w, r, &b) {
		return
	}
	if err := b.complete(); err != nil {
		complain(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.bySubject[b.SenderID]; b.SenderID != 0 && !known {
		complain(w, http.StatusNotFound, "no such sender")
		return
	}
	if b.Seed != 0 {
		s.rng = newRand(b.Seed)
	}
	if b.SenderID == 0 {
		s.global = b
	} else {
		s.perSender[b.SenderID] = b
	}
	answer(w, http.StatusOK, b)
}

func (s *Simulator) getBehaviour(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, http.StatusOK, s.of(parseID(r.URL.Query().Get("sender_id"))))
}

// Calls returns what the API saw of a sender (0: of all), oldest first, and how many messages it accepted.
func (s *Simulator) Calls(subject int64) ([]Call, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Call{}
	s.calls.ring.each(func(c *Call) bool {
		if subject == 0 || c.SenderID == subject {
			out = append(out, *c)
		}
		return true
	})
	return out, s.acceptedBy(subject)
}

// acceptedBy counts all messages ever accepted, not only those still remembered. The caller holds mu.
func (s *Simulator) acceptedBy(subject int64) int {
	if subject == 0 {
		return len(s.taken)
	}
	return s.takenBy[subject]
}

func (s *Simulator) getCalls(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	subject := parseID(q.Get("sender_id"))
	if q.Get("sender_id") != "" && subject == 0 {
		complain(w, http.StatusBadRequest, "sender_id: want a number")
		return
	}
	after, limit := int(parseID(q.Get("after"))), int(parseID(q.Get("limit")))
	all, accepted := s.Calls(subject)
	out := []Call{}
	for _, c := range all {
		if c.Seq <= after || q.Has("request_id") && c.RequestID != q.Get("request_id") || q.Has("path") && !strings.HasSuffix(c.Path, q.Get("path")) {
			continue
		}
		if out = append(out, c); limit > 0 && len(out) == limit {
			break
		}
	}
	answer(w, http.StatusOK, map[string]any{"calls": out, "accepted": accepted})
}

// inbound is the body of POST _sim/inbound. Only sender_id, from and one of text and content are needed.
type inbound struct {
	SenderID anyNumber `json:"sender_id"`
	From     string    `json:"from"`
	Text     *string   `json:"text"`
	// ID of the message, to send one twice; absent: a new one.
	ID int64 `json:"id"`
	// Type of messageContent; "": TEXT. Payload is a pressed button's code.
	Type    string `json:"type"`
	Payload string `json:"payload"`
	// Content takes the place of messageContent as it is.
	Content json.RawMessage `json:"content"`
	// ReplyTo is the requestId of the message that is answered.
	ReplyTo string `json:"reply_to_request_id"`
	Name    string `json:"name"`
}

func (s *Simulator) postInbound(w http.ResponseWriter, r *http.Request) {
	var in inbound
	if !read(w, r, &in) {
		return
	}
	subject := int64(in.SenderID)
	sender, known := s.bySubject[subject]
	switch {
	case !known:
		complain(w, http.StatusNotFound, "no such sender")
		return
	case in.From == "" || in.Text == nil && in.Content == nil:
		complain(w, http.StatusBadRequest, "from and text (or content) are needed")
		return
	}
	from := strings.TrimPrefix(in.From, "+")
	at := s.o.Clock()
	s.mu.Lock()
	if in.ID == 0 {
		s.nextID++
		in.ID = s.nextID
	}
	s.lastWrote[person{subject, from}] = at
	s.history.add(&message{id: in.ID, direction: "IN", subject: subject, address: from, status: "RECEIVED", at: at})
	var repliedID any
	if m := s.taken[in.ReplyTo]; m != nil {
		repliedID = m.id
	}
	hook, b := s.hook(subject).inbound, s.of(subject)
	s.mu.Unlock()

	if hook == "" {
		answer(w, http.StatusOK, map[string]any{"id": in.ID, "delivered": false, "status": 0, "error": "no callback is registered for this sender"})
		return
	}
	status := s.deliver(r.Context(), delivery{url: hook, body: in.body(sender, from, at, repliedID), generation: s.queue.now()}, b)
	answer(w, http.StatusOK, map[string]any{"id": in.ID, "delivered": status == http.StatusOK, "status": status})
}

func (in inbound) body(sender Sender, from string, at time.Time, repliedID any) map[string]any {
	var content any = in.Content
	if in.Content == nil {
		kind := in.Type
		if kind == "" {
			kind = "TEXT"
		}
		content = map[string]any{
			"type": kind, "attachment": nil, "location": nil, "caption": nil, "text": in.Text, "payload": orNull(in.Payload), "story": nil, "items": nil,
		}
	}
	return map[string]any{
		"id": in.ID, "subject": sender.Subject, "subjectId": sender.SubjectID,
		"subscriber":     map[string]any{"id": subscriberID(from), "identifier": from},
		"userInfo":       map[string]any{"userName": orNull(in.Name), "firstName": nil, "lastName": nil, "avatarUrl": nil},
		"messageContent": content, "receivedAt": at.UTC().Format(time.RFC3339),
		"replyOutMessageId": repliedID, "replyOutMessageExternalRequestId": orNull(in.ReplyTo), "replyInMessageId": nil,
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// subscriberID is edna's number of a person, the same each time.
func subscriberID(from string) int64 {
	var h uint32 = 2166136261
	for i := range len(from) {
		h = (h ^ uint32(from[i])) * 16777619
	}
	return int64(h)
}
