package stage

import (
	"encoding/json"
	"io"
	"net/http"
)

// steeringRoutes are how a test or a person steers every simulator:
//
//	PUT, GET _sim/behaviour     how it behaves from now on (type Behaviour); ?sender_id=
//	GET      _sim/calls         what it saw: ?sender_id= ?request_id= ?path= ?after=SEQ ?limit=
//	POST     _sim/reset         forgets messages, calls and behaviour; keeps senders, templates and registered webhooks
//
// The provider adds POST _sim/inbound, a recipient writes.
func (s *Stage) steeringRoutes() {
	s.Steer(http.MethodPut, "behaviour", s.putBehaviour)
	s.Steer(http.MethodGet, "behaviour", func(w http.ResponseWriter, r *http.Request) {
		Answer(w, http.StatusOK, s.show(s.Behaviour(r.URL.Query().Get("sender_id"))))
	})
	s.Steer(http.MethodGet, "calls", s.getCalls)
	s.Steer(http.MethodPost, "reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
}

// Steer adds a steering route under _sim/.
func (s *Stage) Steer(method, name string, h http.HandlerFunc) {
	s.steering.HandleFunc(method+" /_sim/"+name, h)
}

func (s *Stage) putBehaviour(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		Complain(w, http.StatusBadRequest, err.Error())
		return
	}
	b, err := s.decode(raw)
	if err != nil {
		Complain(w, http.StatusBadRequest, err.Error())
		return
	}
	if b.SenderID != "" && !s.o.Known(string(b.SenderID)) {
		Complain(w, http.StatusNotFound, "no such sender")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Seed != 0 {
		s.rng = newRand(b.Seed)
	}
	if b.SenderID == "" {
		s.global = b
	} else {
		s.perSender[string(b.SenderID)] = b
	}
	Answer(w, http.StatusOK, s.show(b))
}

// Answer answers a steering request.
func Answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(Marshal(v), '\n'))
}

// Complain refuses a steering request.
func Complain(w http.ResponseWriter, status int, what string) {
	Answer(w, status, map[string]string{"error": what})
}

// Read takes a steering body; a field that v does not have is a mistake of the one who steers. It has answered when it
// returns false.
func Read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && err != io.EOF {
		Complain(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

// Inbound is what the bodies of POST _sim/inbound have in common. A provider embeds it beside its own fields. Only
// sender_id, from and one of text and content are needed.
type Inbound struct {
	SenderID ID      `json:"sender_id"`
	From     string  `json:"from"`
	Text     *string `json:"text"`
	// Type of the content, in the provider's words; "": text. Payload is a pressed button's code.
	Type    string `json:"type"`
	Payload string `json:"payload"`
	// Content takes the place of the provider's object for it, as it is.
	Content json.RawMessage `json:"content"`
	// ReplyTo is the id by which the answered message was sent.
	ReplyTo string `json:"reply_to_request_id"`
	Name    string `json:"name"`
}

// ReadInbound reads the body of POST _sim/inbound into body, of which common is the embedded part, and asks for what is
// needed. It has answered when it returns false.
func (s *Stage) ReadInbound(w http.ResponseWriter, r *http.Request, body any, common *Inbound) bool {
	if !Read(w, r, body) {
		return false
	}
	switch {
	case common.SenderID == "" || !s.o.Known(string(common.SenderID)):
		Complain(w, http.StatusNotFound, "no such sender")
		return false
	case common.From == "" || common.Text == nil && common.Content == nil:
		Complain(w, http.StatusBadRequest, "from and text (or content) are needed")
		return false
	}
	return true
}

// AnswerInbound delivers the callback of an inbound message and tells what became of it: "delivered" and the status of
// the first attempt. Facts, such as the message's id, are added. A callback without a URL is not delivered.
func (s *Stage) AnswerInbound(w http.ResponseWriter, r *http.Request, sender string, c Callback, facts map[string]any) {
	out := map[string]any{"delivered": false, "status": 0}
	for name, v := range facts {
		out[name] = v
	}
	if c.URL == "" {
		out["error"] = "no callback is registered for this sender"
		Answer(w, http.StatusOK, out)
		return
	}
	status := s.Deliver(r.Context(), sender, c)
	out["delivered"], out["status"] = s.o.Delivered(status), status
	Answer(w, http.StatusOK, out)
}
