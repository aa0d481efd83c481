package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/channel"
	"contactcenter/shared/claim"
	"contactcenter/shared/id"
	"contactcenter/shared/provider/registry"
)

// Complaints keeps what third parties reported.
type Complaints interface {
	Get(ctx context.Context, id string) (claim.Complaint, error)
	Exists(ctx context.Context, id string) (bool, error)
	List(ctx context.Context, status claim.Status, accountID string, p attr.Page) ([]claim.Complaint, string, error)
	Statement(c claim.Complaint) (claim.Statement, error)
	Note(c claim.Complaint) (string, error)
	Review(ctx context.Context, c claim.Complaint, r claim.Review, e audit.Event) (claim.Complaint, error)
}

const (
	maxReason = 1000
	maxNote   = 4000
)

// ListComplaints answers GET /v1/operator/complaints, newest first, without what claimants wrote.
func (h *Handler) ListComplaints(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "status", "account_id")
	page := q.Page()
	status := claim.Status(q.Get("status"))
	if status != "" && !slices.Contains(claim.Statuses(), status) {
		q.Invalid("status", "must be open, in_review, upheld or dismissed")
	}
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Complaints.List(r.Context(), status, q.Get("account_id"), page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.ComplaintList{Items: api.ItemsOf(list, showComplaint), NextPageToken: next})
}

func showComplaint(c claim.Complaint) api.Complaint {
	return api.Complaint{
		ID: c.ID, Category: c.Category, Status: api.ComplaintStatus(c.Status), AccountID: c.AccountID, ReceivedAt: api.At(c.ReceivedAt), UpdatedAt: api.OptionalTime(c.ChangedAt),
	}
}

// GetComplaint answers GET /v1/operator/complaints/{id}, with what the claimant wrote.
func (h *Handler) GetComplaint(w http.ResponseWriter, r *http.Request) {
	c, err := h.complaint(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.answerComplaint(w, r, c)
}

func (h *Handler) complaint(r *http.Request) (claim.Complaint, error) {
	notFound := api.NewProblem(api.CodeNotFound).WithDetail("There is no such complaint.")
	if !id.Valid(id.ComplaintPrefix, r.PathValue("id")) {
		return claim.Complaint{}, notFound
	}
	c, err := h.Complaints.Get(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, claim.ErrNotFound):
		return claim.Complaint{}, notFound
	case err != nil:
		return claim.Complaint{}, api.TryAgain(r, err)
	}
	return c, nil
}

func (h *Handler) answerComplaint(w http.ResponseWriter, r *http.Request, c claim.Complaint) {
	what, err := h.Complaints.Statement(c)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	out := showComplaint(c)
	out.Description, out.SenderAddress = what.Description, what.SenderAddress
	if what.Contact != (claim.Contact{}) {
		out.Contact = &api.ComplaintContact{Name: what.Contact.Name, Email: what.Contact.Email, Phone: what.Contact.Phone}
	}
	if out.Note, err = h.Complaints.Note(c); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	if out.Restrictions, err = h.restrictionsFor(r.Context(), c); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	if out.SenderIsNow, err = h.senderOf(r.Context(), what.SenderAddress); err != nil {
		api.Note(r.Context(), fmt.Errorf("find sender of complaint: %w", err)) // a hint only
	}
	api.WriteJSON(w, http.StatusOK, out)
}

// restrictionsFor gives the restrictions of the complaint's account that name it: of the account's newest 200.
func (h *Handler) restrictionsFor(ctx context.Context, c claim.Complaint) ([]string, error) {
	if c.AccountID == "" {
		return nil, nil
	}
	list, _, err := h.Accounts.ListRestrictions(ctx, c.AccountID, attr.Page{Size: reachPage})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, x := range list {
		if x.ComplaintID == c.ID {
			ids = append(ids, x.ID)
		}
	}
	return ids, nil
}

// senderOf finds who has a native sender's address now: a hint, since the address may have belonged to somebody else when the
// claimant was written to. It looks at the first 1,000 senders of each provider.
func (h *Handler) senderOf(ctx context.Context, address string) (*api.ComplaintSender, error) {
	wanted := digits(address)
	if wanted == "" {
		return nil, nil
	}
	providers, err := h.Providers.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range providers {
		if e.Onboarding != registry.Native {
			continue
		}
		found, err := h.senderIn(ctx, e.ID, wanted)
		if err != nil || found != nil {
			return found, err
		}
	}
	return nil, nil
}

func (h *Handler) senderIn(ctx context.Context, providerID, wanted string) (*api.ComplaintSender, error) {
	page := attr.Page{Size: reachPage}
	for range reachMost / reachPage {
		list, next, err := h.Providers.Senders(ctx, providerID, page)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if s.ChannelID == "" || digits(s.Address) != wanted {
				continue
			}
			c, err := h.Channels.Lookup(ctx, s.ChannelID)
			if errors.Is(err, channel.ErrNotFound) {
				return nil, nil
			}
			return &api.ComplaintSender{ProviderID: providerID, ChannelID: s.ChannelID, AccountID: c.AccountID}, err
		}
		if page.Token = next; next == "" {
			break
		}
	}
	return nil, nil
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// ReviewComplaint answers PATCH /v1/operator/complaints/{id}. Each change is an audit event: together they are the log of
// decisions.
func (h *Handler) ReviewComplaint(w http.ResponseWriter, r *http.Request) {
	c, err := h.complaint(r)
	if err == nil {
		c, err = h.review(r, c)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.answerComplaint(w, r, c)
}

func (h *Handler) review(r *http.Request, c claim.Complaint) (claim.Complaint, error) {
	ctx := r.Context()
	var req api.ReviewComplaintRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return c, err
	}
	var f form
	f.within("reason", req.Reason, maxReason)
	f.within("note", req.Note, maxNote)
	if err := h.known(ctx, &f, req.AccountID); err != nil {
		return c, api.TryAgain(r, err)
	}
	if err := f.errs.Err(); err != nil {
		return c, err
	}
	e := api.AuditEvent(ctx)
	e.Reason = req.Reason
	change := claim.Review{AccountID: req.AccountID, Note: req.Note}
	if req.Status != nil {
		change.Status = claim.Status(*req.Status)
	}
	c, err := h.Complaints.Review(ctx, c, change, e)
	switch {
	case errors.Is(err, claim.ErrStatus):
		return c, api.NewProblem(api.CodeConflict).WithDetail("The complaint can't go from its present status to this one.")
	case errors.Is(err, claim.ErrChanged):
		return c, api.NewProblem(api.CodeConflict)
	case err != nil:
		return c, api.TryAgain(r, err)
	}
	return c, nil
}

// known notes an account that there is none of; "" is left out.
func (h *Handler) known(ctx context.Context, f *form, accountID string) error {
	if accountID == "" {
		return nil
	}
	_, err := h.Accounts.Find(ctx, accountID)
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, account.ErrID) {
		f.check(false, "account_id", "is no account that is known here")
		return nil
	}
	return err
}

// within checks the length of a text that is there, and that it is not blank.
func (f *form) within(field, s string, most int) {
	f.check(s == "" || strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= most, field, fmt.Sprintf("must be a text of at most %d characters", most))
}
