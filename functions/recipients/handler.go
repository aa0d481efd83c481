package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/recipient"
	"contactcenter/shared/restriction"
	"contactcenter/shared/sign"
)

// Channels knows the channels that an account has and had.
type Channels interface {
	Lookup(ctx context.Context, channelID string) (channel.Channel, error)
	// Ever gives every channel that an account has or had.
	Ever(ctx context.Context, accountID string) ([]channel.Channel, error)
}

// Accounts knows the restrictions of accounts.
type Accounts interface {
	Find(ctx context.Context, accountID string) (account.Account, error)
}

// Handler answers the routes of recipients. A blocked account may use all of them: they are about people, not about
// sending. A recipient that is restricted itself keeps its addresses while that holds: they are what it is known by.
type Handler struct {
	Recipients  *recipient.Store
	Accounts    Accounts
	Messages    *message.Store
	Channels    Channels
	Providers   api.ProviderVersions
	Audit       Audit
	Acceptances Acceptances
	Requests    Requests
	// Signer signs evidence.
	Signer        sign.Key
	Queue         *recipient.Queue
	Keys          *idempotency.Middleware
	IDs           id.Source
	Conversations id.ConversationKeyer
	Now           func() time.Time
}

var _ api.RecipientsServer = (*Handler)(nil)

const (
	maxName    = 256
	maxPurpose = 128
	maxSource  = 256
	maxProof   = 1024

	// lookAtOnce bounds how many conversations are looked for side by side.
	lookAtOnce = 8
)

// CreateRecipient answers POST /v1/recipients. The answer is not kept under the request's key: it would hold the person's
// addresses for a day more.
func (h *Handler) CreateRecipient(w http.ResponseWriter, r *http.Request) {
	newID := func() (string, error) { return h.IDs.New(id.RecipientPrefix) }
	h.Keys.Named(newID, func(w http.ResponseWriter, r *http.Request, subject string, repeated bool) {
		made, replayed, err := h.create(r, subject, repeated)
		if err != nil {
			api.WriteError(w, r, problemOf(r, err))
			return
		}
		if replayed {
			w.Header().Set(idempotency.ReplayedHeader, "true")
		}
		w.Header().Set("Location", "/v1/recipients/"+made.ID)
		h.show(w, r, http.StatusCreated, made)
	})(w, r)
}

func (h *Handler) create(r *http.Request, recipientID string, repeated bool) (made recipient.Recipient, replayed bool, err error) {
	ctx, p := r.Context(), api.PrincipalFrom(r.Context())
	var req api.CreateRecipientRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return made, false, err
	}
	var errs api.FieldErrors
	checkAddresses(req.Addresses, &errs)
	name := checkName(req.Name, &errs)
	if err := errs.Err(); err != nil {
		return made, false, err
	}
	if repeated {
		if made, err = h.Recipients.Get(ctx, p.AccountID, recipientID); !errors.Is(err, recipient.ErrNotFound) {
			return made, true, err
		}
	}
	made, err = h.Recipients.Create(ctx, recipient.Recipient{AccountID: p.AccountID, ID: recipientID, Addresses: req.Addresses, Name: name, CreatedBy: p.UserID}, api.AuditEvent(ctx))
	if errors.Is(err, recipient.ErrTaken) {
		err = h.takenBy(ctx, p.AccountID, req.Addresses)
	}
	return made, false, err
}

// takenBy says who has one of the addresses: another recipient, or nobody any more. Of a recipient that was erased while it was
// restricted the addresses' keys stay, so that the restriction holds for them.
func (h *Handler) takenBy(ctx context.Context, accountID string, addresses []string) error {
	found, err := h.Recipients.Of(ctx, accountID, addresses...)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if found[a] == "" {
			continue
		}
		if _, err := h.Recipients.Get(ctx, accountID, found[a]); errors.Is(err, recipient.ErrNotFound) {
			return api.NewProblem(api.CodeConflict).WithDetail("One of these addresses was erased while its recipient was restricted. What the restriction was about stays out of use: the address can't be entered again.")
		}
	}
	return recipient.ErrTaken
}

func checkAddresses(list []string, errs *api.FieldErrors) {
	if len(list) == 0 || len(list) > recipient.MaxAddresses {
		errs.Add("addresses", api.FieldInvalid, "must have 1 to 20 addresses")
	}
	seen := map[string]bool{}
	for i, a := range list {
		field := fmt.Sprintf("addresses[%d]", i)
		if problem := recipient.AddressProblem(a); problem != "" {
			errs.Add(field, api.FieldInvalid, problem)
		}
		if seen[a] {
			errs.Add(field, api.FieldDuplicate, "is there more than once")
		}
		seen[a] = true
	}
}

func checkName(name *string, errs *api.FieldErrors) string {
	if name == nil {
		return ""
	}
	if strings.TrimSpace(*name) == "" || utf8.RuneCountInString(*name) > maxName {
		errs.Add("name", api.FieldInvalid, "must have 1 to 256 characters, not blanks only")
	}
	return *name
}

// LookupRecipient answers POST /v1/recipients/lookup. An address that the account has a conversation with gets its
// recipient at the first look.
func (h *Handler) LookupRecipient(w http.ResponseWriter, r *http.Request) {
	ctx, accountID := r.Context(), api.PrincipalFrom(r.Context()).AccountID
	var req api.LookupRecipientRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		api.WriteError(w, r, err)
		return
	}
	if problem := recipient.AddressProblem(req.Address); problem != "" {
		var errs api.FieldErrors
		errs.Add("address", api.FieldInvalid, problem)
		api.WriteError(w, r, errs.Err())
		return
	}
	found, err := h.Recipients.Lookup(ctx, accountID, req.Address)
	if errors.Is(err, recipient.ErrNotFound) {
		found, err = h.ofConversation(ctx, accountID, req.Address)
	}
	if errors.Is(err, recipient.ErrErasing) {
		err = recipient.ErrNotFound
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	h.show(w, r, http.StatusOK, found)
}

func (h *Handler) ofConversation(ctx context.Context, accountID, address string) (recipient.Recipient, error) {
	known, err := h.converses(ctx, accountID, address)
	if err != nil {
		return recipient.Recipient{}, err
	}
	if !known {
		return recipient.Recipient{}, recipient.ErrNotFound
	}
	recipientID, err := h.Recipients.Ensure(ctx, accountID, address)
	if err != nil {
		return recipient.Recipient{}, err
	}
	return h.Recipients.Get(ctx, accountID, recipientID)
}

// converses reports whether the account has a conversation with an address on any channel that it has or had.
func (h *Handler) converses(ctx context.Context, accountID, address string) (bool, error) {
	channels, err := h.channels(ctx, accountID)
	if err != nil {
		return false, err
	}
	found := make([]bool, len(channels))
	var group errgroup.Group
	group.SetLimit(lookAtOnce)
	for i, channelID := range channels {
		group.Go(func() (err error) {
			found[i], err = h.Messages.Has(ctx, accountID, h.Conversations.Key(accountID, channelID, address))
			return err
		})
	}
	err = group.Wait()
	return slices.Contains(found, true), err
}

// channels lists the ids of all channels that the account has or had.
func (h *Handler) channels(ctx context.Context, accountID string) ([]string, error) {
	ever, err := h.Channels.Ever(ctx, accountID)
	ids := make([]string, len(ever))
	for i, c := range ever {
		ids[i] = c.ID
	}
	return ids, err
}

// GetRecipient answers GET /v1/recipients/{id}.
func (h *Handler) GetRecipient(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		h.show(w, r, http.StatusOK, of)
		return nil
	})
}

// UpdateRecipient answers PATCH /v1/recipients/{id}.
func (h *Handler) UpdateRecipient(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		var req api.UpdateRecipientRequest
		if err := api.DecodeJSON(r, &req); err != nil {
			return err
		}
		var errs api.FieldErrors
		addresses, name := of.Addresses, of.Name
		if req.Addresses != nil {
			checkAddresses(req.Addresses, &errs)
			addresses = req.Addresses
		}
		if req.Name != nil {
			name = checkName(req.Name, &errs)
		}
		if err := errs.Err(); err != nil {
			return err
		}
		if !containsAll(addresses, of.Addresses) {
			if err := h.unrestricted(r.Context(), of); err != nil {
				return err
			}
		}
		changed, err := h.Recipients.Change(r.Context(), of, addresses, name, api.AuditEvent(r.Context()))
		if errors.Is(err, recipient.ErrTaken) {
			err = h.takenBy(r.Context(), of.AccountID, addresses)
		}
		if err != nil {
			return err
		}
		h.show(w, r, http.StatusOK, changed)
		return nil
	})
}

// DeleteRecipient answers DELETE /v1/recipients/{id}.
func (h *Handler) DeleteRecipient(w http.ResponseWriter, r *http.Request) {
	h.with(w, r, func(of recipient.Recipient) error {
		if err := h.unrestricted(r.Context(), of); err != nil {
			return err
		}
		if err := h.Recipients.Delete(r.Context(), of, api.AuditEvent(r.Context())); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// unrestricted refuses what would take an address out of the reach of a restriction of its recipient.
func (h *Handler) unrestricted(ctx context.Context, of recipient.Recipient) error {
	by, restricted, err := h.restriction(ctx, of)
	if err == nil && restricted {
		err = api.Restricted(by)
	}
	return err
}

// restriction gives a restriction in force that names a recipient.
func (h *Handler) restriction(ctx context.Context, of recipient.Recipient) (restriction.Restriction, bool, error) {
	a, err := h.Accounts.Find(ctx, of.AccountID)
	if errors.Is(err, account.ErrNotFound) {
		return restriction.Restriction{}, false, nil
	}
	for _, r := range a.Restrictions.ActiveAt(h.Now()) {
		if r.Scope.RecipientID == of.ID {
			return r, true, nil
		}
	}
	return restriction.Restriction{}, false, err
}

func containsAll(list, of []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(list, s) })
}

// with finds the recipient of the path and lets do answer, unless do returns an error.
func (h *Handler) with(w http.ResponseWriter, r *http.Request, do func(recipient.Recipient) error) {
	of, err := h.own(r)
	if err == nil {
		err = do(of)
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
	}
}

func (h *Handler) own(r *http.Request) (recipient.Recipient, error) {
	recipientID := r.PathValue("id")
	if !id.Valid(id.RecipientPrefix, recipientID) {
		return recipient.Recipient{}, recipient.ErrNotFound
	}
	return h.Recipients.Get(r.Context(), api.PrincipalFrom(r.Context()).AccountID, recipientID)
}

func problemOf(r *http.Request, err error) error {
	if p := new(api.Problem); errors.As(err, &p) {
		return p
	}
	conflict := api.NewProblem(api.CodeConflict)
	switch {
	case errors.Is(err, recipient.ErrNotFound):
		return api.NewProblem(api.CodeNotFound)
	case errors.Is(err, channel.ErrNotFound):
		return api.NewProblem(api.CodeChannelNotFound)
	case errors.Is(err, recipient.ErrTaken):
		return conflict.WithDetail("Another recipient of the account has one of these addresses: find it with POST /v1/recipients/lookup.")
	case errors.Is(err, recipient.ErrErasing):
		return conflict.WithDetail("The recipient with this address is being erased. Try again when that is done.")
	case errors.Is(err, recipient.ErrTooMany):
		var errs api.FieldErrors
		errs.Add("addresses", api.FieldInvalid, "are too many to be added at once to a recipient with so many opt-outs")
		return errs.Err()
	case errors.Is(err, recipient.ErrChanged):
		return conflict
	}
	return api.TryAgain(r, err)
}

// show answers with a recipient and its opt-outs.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, of recipient.Recipient) {
	optOuts, err := h.Recipients.OptOuts(r.Context(), of)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, status, recipientView(of, optOuts))
}

func recipientView(of recipient.Recipient, optOuts []recipient.OptOut) api.Recipient {
	return api.Recipient{
		ID: of.ID, Addresses: of.Addresses, Name: of.Name, Source: string(of.Origin), OptOuts: optOutViews(optOuts),
		CreatedAt: api.At(of.CreatedAt), UpdatedAt: api.At(of.UpdatedAt),
	}
}

func optOutViews(list []recipient.OptOut) []api.OptOut {
	out := make([]api.OptOut, len(list))
	for i, o := range list {
		out[i] = optOutView(o)
	}
	return out
}

func optOutView(o recipient.OptOut) api.OptOut {
	return api.OptOut{ChannelID: o.ChannelID, Since: api.At(o.Since), Source: string(o.Source)}
}
