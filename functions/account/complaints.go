package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/api"
	"contactcenter/shared/claim"
	"contactcenter/shared/id"
	"contactcenter/shared/rules"
)

// Complaints takes complaints in. Nothing here can read one.
type Complaints interface {
	Receive(ctx context.Context, id, category string, what claim.Statement) (claim.Complaint, error)
}

// Sources bounds how many complaints come from one address.
type Sources interface {
	Count(ctx context.Context, address string) error
}

// otherCategory is for a complaint that no prohibited use of the Rules fits.
const otherCategory = "other"

const (
	maxDescription = 4000
	maxContact     = 320
)

// FileComplaint answers POST /v1/complaints: anybody may complain, with or without saying who they are. Only complaints that can
// be taken in are counted against their source.
func (h *Handler) FileComplaint(w http.ResponseWriter, r *http.Request) {
	c, err := h.fileComplaint(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusCreated, api.ComplaintReceipt{ID: c.ID, ReceivedAt: api.At(c.ReceivedAt)})
}

func (h *Handler) fileComplaint(r *http.Request) (claim.Complaint, error) {
	ctx := r.Context()
	var req api.FileComplaintRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return claim.Complaint{}, err
	}
	if err := h.checkComplaint(r, req); err != nil {
		return claim.Complaint{}, err
	}
	err := h.Sources.Count(ctx, api.CallFrom(ctx).SourceIP)
	if many := new(claim.TooMany); errors.As(err, &many) {
		p := api.NewProblem(api.CodeRateLimitReached).WithRetryAfter(many.ResetsAt.Sub(h.Now()))
		limit, resets := int64(claim.PerSource), api.At(many.ResetsAt)
		p.Limit, p.Used, p.ResetsAt = &limit, &limit, &resets
		return claim.Complaint{}, p
	}
	if err != nil {
		return claim.Complaint{}, api.TryAgain(r, err)
	}
	complaintID, err := h.IDs.New(id.ComplaintPrefix)
	if err != nil {
		return claim.Complaint{}, err
	}
	what := claim.Statement{Description: req.Description, SenderAddress: req.SenderAddress}
	if req.Contact != nil {
		what.Contact = claim.Contact{Name: req.Contact.Name, Email: req.Contact.Email, Phone: req.Contact.Phone}
	}
	c, err := h.Complaints.Receive(ctx, complaintID, req.Category, what)
	if err != nil {
		return claim.Complaint{}, api.TryAgain(r, err)
	}
	return c, nil
}

// checkComplaint refuses what can't be used. What claimants write is not judged: they write it as they know it.
func (h *Handler) checkComplaint(r *http.Request, req api.FileComplaintRequest) error {
	v, err := h.Rules.Current(r.Context())
	if err != nil && !errors.Is(err, rules.ErrNoneInForce) {
		return api.TryAgain(r, err)
	}
	var errs api.FieldErrors
	if req.Category != otherCategory && !slices.ContainsFunc(v.ProhibitedUses, func(u rules.ProhibitedUse) bool { return u.ID == req.Category }) {
		errs.Add("category", api.FieldInvalid, "must be other, or an id of GET /v1/rules/current/prohibited-uses")
	}
	checkText(&errs, "description", req.Description, maxDescription)
	if req.SenderAddress != "" {
		checkText(&errs, "sender_address", req.SenderAddress, maxContact)
	}
	if req.Contact == nil {
		return errs.Err()
	}
	for _, f := range []struct{ name, text string }{{"contact.name", req.Contact.Name}, {"contact.email", req.Contact.Email}, {"contact.phone", req.Contact.Phone}} {
		if f.text != "" {
			checkText(&errs, f.name, f.text, maxContact)
		}
	}
	return errs.Err()
}

// checkText refuses a text that is blank or too long.
func checkText(errs *api.FieldErrors, field, text string, most int) {
	switch {
	case text != "" && strings.TrimSpace(text) == "":
		errs.Add(field, api.FieldInvalid, "must not be blank")
	case utf8.RuneCountInString(text) > most:
		errs.Add(field, api.FieldInvalid, "has too many characters: see the documentation")
	}
}
