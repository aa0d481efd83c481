package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/chain"
	"contactcenter/shared/claim"
	"contactcenter/shared/evidence"
	"contactcenter/shared/id"
	"contactcenter/shared/recipient"
	"contactcenter/shared/rules"
	"contactcenter/shared/sign"
)

// Audit lists what was done in an account and to it.
type Audit interface {
	Of(ctx context.Context, accountID string, p attr.Page) ([]audit.Event, string, error)
}

// Acceptances lists which versions of the Rules an account accepted, newest first.
type Acceptances interface {
	Acceptances(ctx context.Context, accountID string, p attr.Page) ([]rules.Acceptance, string, error)
}

// Requests knows what evidence the operator asked for.
type Requests interface {
	Get(ctx context.Context, requestID string) (claim.Evidence, error)
}

// Bounds of one part. Lambda answers with 6 MB at most, which base64 makes 4.5 MB. A part ends with the page of messages or of audit
// events that fills it: at most bundleBytes and one page, 50 messages of some KB or 25 events of 30 KB at the worst.
const (
	mostMessages    = 200
	mostEvents      = 100
	messagesPage    = 50
	eventsPage      = 25
	bundleQueries   = 150
	bundleBytes     = 5 << 19 // 2.5 MiB
	mostAcceptances = 200
	// acceptanceBytes is how much of a bundle acceptances can be: the newest of the last 200.
	acceptanceBytes = 1 << 19
)

// room is what is left for one part.
type room struct{ queries, bytes int }

func (r *room) left() bool { return r.queries > 0 && r.bytes > 0 }

// take makes the room smaller by what v needs of it.
func (r *room) take(v any) error {
	b, err := json.Marshal(v)
	r.bytes -= len(b)
	return err
}

// tokenType is the type of page tokens, which are signed: a part must follow from the one before, and from nothing that its reader
// made up.
const tokenType = "contactcenter-evidence-page+jws"

// cursor is where a bundle goes on, and what its next part must know of those before.
type cursor struct {
	Bundle    string    `json:"bundle"`
	Part      int       `json:"part"`
	Previous  string    `json:"previous,omitempty"`
	Account   string    `json:"account"`
	Recipient string    `json:"recipient"`
	Changed   time.Time `json:"changed"`
	Request   string    `json:"request,omitempty"`
	From      time.Time `json:"from,omitzero"`
	To        time.Time `json:"to,omitzero"`
	Generated time.Time `json:"generated"`
	// Head is the place of the last audit event that may be in the bundle; 0: there is no chain.
	Head int64 `json:"head,omitempty"`

	// Messages come first, one conversation after the other, then audit events.
	Conversation string `json:"conversation,omitempty"`
	Token        string `json:"token,omitempty"`
	Messaged     bool   `json:"messaged,omitempty"`
	// Channels and Conversations are those that had messages.
	Channels      []string        `json:"channels,omitempty"`
	Conversations []string        `json:"conversations,omitempty"`
	Totals        evidence.Totals `json:"totals"`
	Done          bool            `json:"-"`
}

// CollectEvidence answers POST /v1/recipients/{id}/evidence. A bundle is made anew each time and kept nowhere.
func (h *Handler) CollectEvidence(w http.ResponseWriter, r *http.Request) {
	anew(h, w, r, id.BundlePrefix, h.bundle)
}

func (h *Handler) bundle(r *http.Request, of recipient.Recipient, bundleID string) (api.EvidenceBundle, error) {
	c, size, err := h.asked(r, of, bundleID)
	if err != nil {
		return api.EvidenceBundle{}, err
	}
	part, err := h.part(r.Context(), of, &c, size)
	if err != nil {
		return api.EvidenceBundle{}, err
	}
	jws, err := part.Sign(h.Signer)
	if err != nil {
		return api.EvidenceBundle{}, err
	}
	out := api.EvidenceBundle{ID: c.Bundle, Part: c.Part, Last: part.Last, Sha256: sign.Hash(jws), Jws: jws}
	if !part.Last {
		c.Part, c.Previous = c.Part+1, out.Sha256
		out.NextPageToken, err = h.token(c)
	}
	return out, err
}

// asked reads the request: a bundle that begins, or the next part of one.
func (h *Handler) asked(r *http.Request, of recipient.Recipient, bundleID string) (cursor, int, error) {
	var req api.CollectEvidenceRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return cursor{}, 0, err
	}
	var errs api.FieldErrors
	size := mostMessages
	if req.PageSize != nil {
		if size = *req.PageSize; size < 1 || size > mostMessages {
			errs.Add("page_size", api.FieldInvalid, "must be a whole number from 1 to 200")
		}
	}
	if req.PageToken != nil {
		if req.Period != nil || req.EvidenceRequestID != nil {
			errs.Add("page_token", api.FieldInvalid, "holds the period and the evidence request: leave them out")
		}
		if err := errs.Err(); err != nil {
			return cursor{}, 0, err
		}
		c, err := h.goOn(of, *req.PageToken)
		return c, size, err
	}
	c := cursor{Bundle: bundleID, Part: 1, Account: of.AccountID, Recipient: of.ID, Changed: of.UpdatedAt.UTC(), Generated: h.Now().UTC().Truncate(time.Millisecond)}
	if req.EvidenceRequestID != nil {
		if err := h.forRequest(r.Context(), of, *req.EvidenceRequestID, &c, &errs); err != nil {
			return cursor{}, 0, err
		}
	}
	if p := req.Period; p != nil {
		// As the bundle tells them: it has milliseconds.
		if c.From, c.To = evidence.At(p.From.Time).Time, evidence.At(p.To.Time).Time; !c.From.Before(c.To) || c.From.UnixMilli() < 0 {
			errs.Add("period", api.FieldInvalid, "must begin before it ends")
		}
	}
	return c, size, errs.Err()
}

// forRequest takes the period of an evidence request, which must be about the recipient.
func (h *Handler) forRequest(ctx context.Context, of recipient.Recipient, requestID string, c *cursor, errs *api.FieldErrors) error {
	const field = "evidence_request_id"
	found, err := claim.Evidence{}, claim.ErrNotFound
	if id.Valid(id.EvidencePrefix, requestID) {
		found, err = h.Requests.Get(ctx, requestID)
	}
	switch {
	case errors.Is(err, claim.ErrNotFound), err == nil && found.AccountID != of.AccountID:
		errs.Add(field, api.FieldInvalid, "is no evidence request to your account")
	case err != nil:
		return err
	case len(found.RecipientIDs) > 0 && !slices.Contains(found.RecipientIDs, of.ID):
		errs.Add(field, api.FieldInvalid, "does not name this recipient")
	default:
		c.Request, c.From, c.To = found.ID, found.From.UTC(), found.To.UTC()
	}
	return nil
}

// token is a cursor that nobody can change.
func (h *Handler) token(c cursor) (string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return h.Signer.Sign(tokenType, b)
}

// goOn reads a page token. What the first part says of the recipient must still hold.
func (h *Handler) goOn(of recipient.Recipient, token string) (cursor, error) {
	var c cursor
	d, err := sign.Keys{h.Signer.Public()}.VerifyType(tokenType, token)
	if err != nil || json.Unmarshal(d.Payload, &c) != nil || c.Account != of.AccountID || c.Recipient != of.ID {
		return cursor{}, api.BadPageToken()
	}
	if !c.Changed.Equal(of.UpdatedAt) {
		return cursor{}, api.NewProblem(api.CodeConflict).WithDetail("The recipient was changed since the bundle was begun: begin another one.")
	}
	return c, nil
}

// part makes the next part of a bundle, and moves the cursor behind it.
func (h *Handler) part(ctx context.Context, of recipient.Recipient, c *cursor, size int) (evidence.Part, error) {
	p := evidence.Part{
		BundleID: c.Bundle, Part: c.Part, PreviousSHA256: c.Previous, AccountID: of.AccountID, RecipientID: of.ID, EvidenceRequestID: c.Request,
		GeneratedAt: evidence.At(c.Generated), SignedAt: evidence.At(h.Now()), Messages: []evidence.Message{}, AuditEvents: []chain.Record{},
	}
	if !c.To.IsZero() {
		p.Period = &evidence.Period{From: evidence.At(c.From), To: evidence.At(c.To)}
	}
	left := room{queries: bundleQueries, bytes: bundleBytes}
	if c.Part == 1 {
		if err := h.standing(ctx, of, c, &p, &left); err != nil {
			return p, err
		}
	}
	if err := h.addMessages(ctx, of, c, &p, size, &left); err != nil {
		return p, err
	}
	if err := h.addEvents(ctx, c, &p, &left); err != nil {
		return p, err
	}
	if p.Last = c.Done; p.Last {
		totals := c.Totals
		p.Totals = &totals
	}
	return p, nil
}

// standing adds what holds for the recipient and the account at present.
func (h *Handler) standing(ctx context.Context, of recipient.Recipient, c *cursor, p *evidence.Part, left *room) error {
	consents, err := h.Recipients.Consents(ctx, of.AccountID, of.ID)
	if err != nil {
		return err
	}
	optOuts, err := h.Recipients.OptOuts(ctx, of)
	if err != nil {
		return err
	}
	acceptances, _, err := h.Acceptances.Acceptances(ctx, of.AccountID, attr.Page{Size: mostAcceptances})
	if err != nil {
		return err
	}
	newest, _, err := h.Audit.Of(ctx, of.AccountID, attr.Page{Size: 1})
	if err != nil {
		return err
	}
	if len(newest) > 0 && newest[0].Sequence > 0 {
		c.Head = newest[0].Sequence
		p.AuditHead = &evidence.Head{Sequence: c.Head, Hash: newest[0].Hash}
	}
	p.Recipient = &evidence.Recipient{Addresses: of.Addresses, Source: string(of.Origin), CreatedAt: evidence.At(of.CreatedAt), UpdatedAt: evidence.At(of.UpdatedAt)}
	for _, o := range consents {
		p.Consents = append(p.Consents, evidence.Consent{
			ChannelID: o.ChannelID, Purpose: o.Purpose, Status: string(o.Status), Source: o.Source, ObtainedAt: evidence.At(o.ObtainedAt), ProofReference: o.ProofReference,
		})
	}
	for _, o := range optOuts {
		p.OptOuts = append(p.OptOuts, evidence.OptOut{ChannelID: o.ChannelID, Since: evidence.At(o.Since), Source: string(o.Source)})
	}
	small := room{queries: 1, bytes: acceptanceBytes}
	for _, a := range acceptances {
		shown := acceptanceIn(a)
		if err := small.take(shown); err != nil {
			return err
		}
		if !small.left() {
			break
		}
		p.Acceptances = append(p.Acceptances, shown)
	}
	return left.take(p)
}

// addMessages adds messages until the part is full, each conversation's newest first.
func (h *Handler) addMessages(ctx context.Context, of recipient.Recipient, c *cursor, p *evidence.Part, size int, left *room) error {
	if c.Messaged {
		return nil
	}
	list, err := h.conversationsOf(ctx, of)
	if err != nil {
		return err
	}
	before := c.Generated.Add(time.Millisecond)
	if !c.To.IsZero() && c.To.Before(before) {
		before = c.To
	}
	at, _ := slices.BinarySearchFunc(list, c.Conversation, func(v conversation, key string) int { return strings.Compare(v.key, key) })
	for ; at < len(list) && len(p.Messages) < size && left.left(); left.queries-- {
		in := list[at]
		some, next, err := h.Messages.Within(ctx, of.AccountID, in.key, later(c.From, time.UnixMilli(0)), before, attr.Page{Size: min(size-len(p.Messages), messagesPage), Token: c.Token})
		if err != nil {
			return err
		}
		for _, m := range some {
			shown, err := h.messageIn(ctx, m, in.address)
			if err != nil {
				return err
			}
			if err := left.take(shown); err != nil {
				return err
			}
			p.Messages = append(p.Messages, shown)
		}
		c.met(in, len(some))
		if c.Token = next; next == "" {
			at++
		}
	}
	if c.Conversation = ""; at < len(list) {
		c.Conversation = list[at].key
	}
	c.Messaged = at >= len(list)
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// met notes that a conversation had messages.
func (c *cursor) met(in conversation, n int) {
	c.Totals.Messages += n
	if n == 0 {
		return
	}
	if !slices.Contains(c.Channels, in.channelID) {
		c.Channels = append(c.Channels, in.channelID)
	}
	if conversationID := id.ConversationPrefix + in.key; !slices.Contains(c.Conversations, conversationID) {
		c.Conversations = append(c.Conversations, conversationID)
	}
}

// addEvents adds audit events that concern the recipient, newest first, behind the last message.
func (h *Handler) addEvents(ctx context.Context, c *cursor, p *evidence.Part, left *room) error {
	if !c.Messaged {
		return nil
	}
	for ; len(p.AuditEvents) < mostEvents && left.left(); left.queries-- {
		list, next, err := h.Audit.Of(ctx, c.Account, attr.Page{Size: eventsPage, Token: c.Token})
		if errors.Is(err, attr.ErrToken) {
			return api.BadPageToken()
		}
		if err != nil {
			return err
		}
		for _, e := range list {
			if !c.concerned(e) {
				continue
			}
			record, shown, err := eventIn(e)
			if err != nil {
				return err
			}
			if !shown {
				continue
			}
			if err := left.take(record); err != nil {
				return err
			}
			p.AuditEvents = append(p.AuditEvents, record)
			c.Totals.AuditEvents++
		}
		if c.Token = next; next == "" {
			c.Done = true
			return nil
		}
	}
	return nil
}

// concerned reports whether an audit event is part of the evidence: what was done about the recipient, its conversations and the channels
// that carried its messages, the acceptance of Rules, and the evidence request. What came after the bundle was begun is not.
func (c *cursor) concerned(e audit.Event) bool {
	if e.Sequence > c.Head || e.Sequence == 0 && e.At.After(c.Generated) {
		return false
	}
	if e.Target == c.Recipient || e.Target == c.Request || e.Action == "rules.accepted" || slices.Contains(c.Channels, e.Target) || slices.Contains(c.Conversations, e.Target) {
		return true
	}
	for _, values := range []map[string]any{e.Before, e.After} { // a restriction's scope
		recipientID, ofOne := values["recipient_id"].(string)
		channelID, ofChannel := values["channel_id"].(string)
		if ofOne && recipientID == c.Recipient || !ofOne && ofChannel && slices.Contains(c.Channels, channelID) {
			return strings.HasPrefix(e.Action, "restriction.")
		}
	}
	return false
}
