package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/cache"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
)

// Rules tells what is in force and who accepted it.
type Rules interface {
	Current(ctx context.Context) (rules.Version, error)
	Agreement(ctx context.Context, accountID string, v rules.Version) (rules.Agreement, error)
	AcceptByUse(ctx context.Context, v rules.Version, earlier rules.Acceptance, u rules.Use) error
}

// Providers is the registry of providers, with its pool of senders.
type Providers interface {
	Get(ctx context.Context, providerID string) (registry.Entry, error)
	Read(ctx context.Context, providerID string) (registry.Entry, error)
	List(ctx context.Context) ([]registry.Entry, error)
	TakeSender(ctx context.Context, providerID, channelID string) (registry.Sender, error)
	FreeSender(ctx context.Context, providerID, senderID, channelID string) (bool, error)
	ReclaimSenders(ctx context.Context, providerID, channelID string, gone func(ctx context.Context, channelID string) (bool, error)) (int, error)
}

// Channels keeps the channels.
type Channels interface {
	Get(ctx context.Context, id string) (channel.Channel, error)
	Lookup(ctx context.Context, id string) (channel.Channel, error)
	Create(ctx context.Context, c channel.Channel, e audit.Event) error
	List(ctx context.Context, accountID string, p attr.Page) ([]channel.Channel, string, error)
	Rename(ctx context.Context, id, name string, e audit.Event) (channel.Channel, error)
	ReplaceCredentials(ctx context.Context, id string, c channel.Connected, e audit.Event) (channel.Channel, error)
	Settle(ctx context.Context, id string, settings map[string]string) error
	Activate(ctx context.Context, id string, a channel.Activation, e audit.Event) (channel.Channel, error)
	Deactivate(ctx context.Context, id string, e audit.Event) (channel.Channel, error)
	Delete(ctx context.Context, id string, at time.Time, e audit.Event) (channel.Channel, error)
	Instruct(ctx context.Context, i channel.Instruction, token string, e audit.Event) error
	FindInstruction(ctx context.Context, token string, now time.Time) (channel.Instruction, error)
	WithdrawInstruction(ctx context.Context, channelID, instructionID string, at time.Time, e audit.Event) error
}

// Handler answers the routes of providers and channels.
type Handler struct {
	Rules     Rules
	Accounts  Accounts
	Providers Providers
	Channels  Channels
	// Credentials seals those of accounts. Nothing here opens them.
	Credentials channel.Sealer
	// Adapters speak to providers; by their ids, which entries of the registry and channels name.
	Adapters map[string]provider.Adapter
	Events   Events
	Keys     *idempotency.Middleware
	IDs      id.Source
	// Random makes the secrets of instructions.
	Random io.Reader
	Now    func() time.Time
	// Wait waits, unless the context ends.
	Wait   func(context.Context, time.Duration) error
	Health Health
	// Statuses keeps the page of the status for statusAge.
	Statuses *cache.Cache[string, api.ServiceStatus]
	// PublicBaseURL is where providers call back, without a final slash; "": the domain of the request.
	PublicBaseURL string
}

const (
	// activateTimeout bounds what a provider may take to arrange a channel, within the function's own time.
	activateTimeout = 20 * time.Second
	maxName         = 128
)

// ListProviders answers GET /v1/providers.
func (h *Handler) ListProviders(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	start, err := attr.Start(page.Token, nil, "id")
	if err != nil {
		api.WriteError(w, r, api.BadPageToken())
		return
	}
	list, err := h.Providers.List(r.Context())
	if err == nil {
		list, err = h.withHealth(r.Context(), list...)
	}
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	out := api.ProviderList{Items: []api.Provider{}}
	after := attr.Text(start, "id")
	for _, e := range list {
		if e.ID <= after {
			continue
		}
		if len(out.Items) == page.Size {
			last := out.Items[page.Size-1].ID
			if out.NextPageToken, err = attr.Token(attr.Item{"id": attr.String(last)}); err != nil {
				api.WriteError(w, r, err)
				return
			}
			break
		}
		out.Items = append(out.Items, api.ProviderOf(e))
	}
	api.WriteJSON(w, http.StatusOK, out)
}

// GetProvider answers GET /v1/providers/{id}.
func (h *Handler) GetProvider(w http.ResponseWriter, r *http.Request) {
	e, err := h.Providers.Read(r.Context(), r.PathValue("id"))
	list := []registry.Entry{e}
	if err == nil {
		list, err = h.withHealth(r.Context(), e)
	}
	switch {
	case errors.Is(err, registry.ErrNotFound):
		api.WriteError(w, r, api.NewProblem(api.CodeNotFound).WithDetail("There is no such provider."))
	case err != nil:
		api.WriteError(w, r, api.TryAgain(r, err))
	default:
		api.WriteJSON(w, http.StatusOK, api.ProviderOf(list[0]))
	}
}

// GetCapabilities answers GET /v1/providers/{id}/capabilities.
func (h *Handler) GetCapabilities(w http.ResponseWriter, r *http.Request) {
	e, err := h.Providers.Get(r.Context(), r.PathValue("id"))
	speaks := h.Adapters[e.AdapterID()]
	if err == nil && speaks == nil {
		err = unspoken()
	}
	switch {
	case errors.Is(err, registry.ErrNotFound):
		api.WriteError(w, r, api.NewProblem(api.CodeNotFound).WithDetail("There is no such provider."))
	case err != nil:
		api.WriteError(w, r, problemOf(r, err))
	default:
		can := speaks.Capabilities()
		can.ChannelTypes = e.ChannelTypes // what a channel is called is the operator's to say
		api.WriteJSON(w, http.StatusOK, api.CapabilitiesOf(e.ID, can))
	}
}

// CreateChannel answers POST /v1/channels.
func (h *Handler) CreateChannel(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		c, e, err := h.create(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		w.Header().Set("Location", "/v1/channels/"+c.ID)
		out := []api.Channel{h.show(r, c, e)}
		h.addHealth(r.Context(), out)
		api.WriteJSON(w, http.StatusCreated, out[0])
	})(w, r)
}

func (h *Handler) create(r *http.Request) (channel.Channel, registry.Entry, error) {
	var req api.CreateChannelRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	if err := validName(req.Name); err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	if err := h.permitted(r, api.PrincipalFrom(r.Context()).AccountID, restriction.Way{ProviderID: req.ProviderID}); err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	e, err := h.provider(r, req.ProviderID)
	if err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	channelType, err := typeOf(e, req.Type)
	if err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	if err := checkCredentials(e, req.Credentials); err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	channelID, err := h.IDs.New(id.ChannelPrefix)
	if err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	p := api.PrincipalFrom(r.Context())
	c := channel.Channel{
		ID: channelID, AccountID: p.AccountID, ProviderID: e.ID, Adapter: h.speakerOf(e), Type: channelType, Name: req.Name,
		Status: channel.Inactive, CreatedAt: h.Now().UTC(), CreatedBy: p.UserID,
	}
	if e.Onboarding == registry.OwnAccount {
		var connected channel.Connected
		connected, err = h.connect(r, c, req.Credentials)
		c.SealedCredentials, c.Settings, c.Address = connected.Sealed, connected.Settings, connected.Address
	} else {
		c.SenderID, c.Address, err = h.takeSender(r, e.ID, channelID)
	}
	if err != nil {
		return channel.Channel{}, registry.Entry{}, err
	}
	// When this fails, the channel may be there all the same. The sender is not given back: if the channel is not there,
	// somebody who finds the pool empty does that.
	if err := h.Channels.Create(r.Context(), c, api.AuditEvent(r.Context())); err != nil {
		return channel.Channel{}, registry.Entry{}, api.TryAgain(r, err)
	}
	return h.subscribe(r, c, req.Credentials), e, nil
}

// takeSender takes a sender from the pool of a native provider. One that rests is waited for, and the next when others were faster, as long as
// two senders rest one after the other.
func (h *Handler) takeSender(r *http.Request, providerID, channelID string) (senderID, address string, err error) {
	until := h.Now().Add(2 * registry.Rest)
	sender, err := h.freeSender(r.Context(), providerID, channelID)
	for resting := new(registry.RestingError); errors.As(err, &resting) && !resting.Until.After(until); {
		if err = h.Wait(r.Context(), max(resting.Until.Sub(h.Now()), time.Millisecond)); err == nil {
			sender, err = h.freeSender(r.Context(), providerID, channelID)
		}
	}
	if errors.Is(err, registry.ErrNoSender) {
		return "", "", api.NewProblem(api.CodeSenderUnavailable)
	}
	if err != nil {
		return "", "", api.TryAgain(r, err)
	}
	return sender.ID, sender.Address, nil
}

// freeSender takes a free sender. When there is none, it first gives back those whose channel was never made, or is gone.
func (h *Handler) freeSender(ctx context.Context, providerID, channelID string) (registry.Sender, error) {
	sender, err := h.Providers.TakeSender(ctx, providerID, channelID)
	if !errors.Is(err, registry.ErrNoSender) {
		return sender, err
	}
	none := err
	n, err := h.Providers.ReclaimSenders(ctx, providerID, channelID, func(ctx context.Context, holder string) (bool, error) {
		_, err := h.Channels.Get(ctx, holder)
		if errors.Is(err, channel.ErrNotFound) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return registry.Sender{}, err
	}
	if n == 0 {
		return registry.Sender{}, none
	}
	return h.Providers.TakeSender(ctx, providerID, channelID)
}

// provider gives the entry of a provider that a new channel may use.
func (h *Handler) provider(r *http.Request, providerID string) (registry.Entry, error) {
	e, err := h.Providers.Read(r.Context(), providerID)
	if errors.Is(err, registry.ErrNotFound) {
		var errs api.FieldErrors
		errs.Add("provider_id", api.FieldInvalid, "is none of the providers in GET /v1/providers")
		return registry.Entry{}, errs.Err()
	}
	if err != nil {
		return registry.Entry{}, api.TryAgain(r, err)
	}
	return e, switchedOn(e)
}

func switchedOn(e registry.Entry) error {
	switch e.Status {
	case registry.Enabled:
		return nil
	case registry.Removed:
		return api.NewProblem(api.CodeProviderRemoved)
	}
	return api.NewProblem(api.CodeProviderDisabled)
}

func typeOf(e registry.Entry, asked *string) (string, error) {
	if asked == nil && len(e.ChannelTypes) > 0 {
		return e.ChannelTypes[0], nil
	}
	if asked != nil && slices.Contains(e.ChannelTypes, *asked) {
		return *asked, nil
	}
	var errs api.FieldErrors
	errs.Add("type", api.FieldInvalid, "must be one of the provider's channel_types: "+strings.Join(e.ChannelTypes, ", "))
	return "", errs.Err()
}

func validName(name string) error {
	if utf8.RuneCountInString(name) <= maxName {
		return nil
	}
	var errs api.FieldErrors
	errs.Add("name", api.FieldInvalid, fmt.Sprintf("must have at most %d characters", maxName))
	return errs.Err()
}

// ListChannels answers GET /v1/channels.
func (h *Handler) ListChannels(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Channels.List(r.Context(), api.PrincipalFrom(r.Context()).AccountID, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	out := api.ChannelList{Items: []api.Channel{}, NextPageToken: next}
	for _, c := range list {
		e, err := entryOf(r, c, h.Providers.Get)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		out.Items = append(out.Items, h.show(r, c, e))
	}
	h.addHealth(r.Context(), out.Items)
	api.WriteJSON(w, http.StatusOK, out)
}

// GetChannel answers GET /v1/channels/{id}.
func (h *Handler) GetChannel(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(_ context.Context, c channel.Channel) (channel.Channel, error) { return c, nil })
}

// UpdateChannel answers PATCH /v1/channels/{id}.
func (h *Handler) UpdateChannel(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(ctx context.Context, c channel.Channel) (channel.Channel, error) {
		var req api.UpdateChannelRequest
		if err := api.DecodeJSON(r, &req); err != nil {
			return channel.Channel{}, err
		}
		if req.Name != nil {
			if err := validName(*req.Name); err != nil {
				return channel.Channel{}, err
			}
		}
		if req.Credentials != nil {
			var err error
			if c, err = h.replaceCredentials(r, c, req.Credentials); err != nil {
				return channel.Channel{}, err
			}
		}
		if req.Name == nil {
			return c, nil
		}
		was := c.Name
		c, err := h.Channels.Rename(ctx, c.ID, *req.Name, api.AuditEvent(ctx))
		if err == nil && c.Name != was {
			h.happened(ctx, event.ChannelUpdated, c, h.Now())
		}
		return c, err
	})
}

// DeactivateChannel answers POST /v1/channels/{id}/deactivate.
func (h *Handler) DeactivateChannel(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(ctx context.Context, c channel.Channel) (channel.Channel, error) {
		was := c.Status
		c, err := h.Channels.Deactivate(ctx, c.ID, api.AuditEvent(ctx))
		if err == nil && c.Status != was {
			h.happened(ctx, event.ChannelDeactivated, c, h.Now())
		}
		return c, err
	})
}

// DeleteChannel answers DELETE /v1/channels/{id}. Messages of it that still wait are refused when their turn comes.
func (h *Handler) DeleteChannel(w http.ResponseWriter, r *http.Request) {
	c, err := h.Channels.Lookup(r.Context(), r.PathValue("id"))
	if err == nil && c.AccountID != api.PrincipalFrom(r.Context()).AccountID {
		err = channel.ErrNotFound
	}
	wasDeleted := err == nil && c.Deleted()
	if err == nil && !wasDeleted {
		_, err = h.Channels.Delete(r.Context(), c.ID, h.Now(), api.AuditEvent(r.Context()))
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	freed := false
	if c.SenderID != "" {
		if freed, err = h.Providers.FreeSender(r.Context(), c.ProviderID, c.SenderID, c.ID); err != nil {
			api.WriteError(w, r, api.TryAgain(r, err))
			return
		}
	}
	if wasDeleted && !freed { // else this call finished what an earlier one began
		api.WriteError(w, r, problemOf(r, channel.ErrNotFound))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// answer finds the caller's channel, applies do to it, and shows what do returns.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, do func(context.Context, channel.Channel) (channel.Channel, error)) {
	c, err := h.own(r)
	if err == nil {
		c, err = do(r.Context(), c)
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	e, err := entryOf(r, c, h.Providers.Read)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	out := []api.Channel{h.show(r, c, e)}
	h.addHealth(r.Context(), out)
	api.WriteJSON(w, http.StatusOK, out[0])
}

// own gives the channel of the path, if it is the caller's.
func (h *Handler) own(r *http.Request) (channel.Channel, error) {
	accountID := api.PrincipalFrom(r.Context()).AccountID
	channelID := r.PathValue("id")
	if accountID == "" || !id.Valid(id.ChannelPrefix, channelID) {
		return channel.Channel{}, channel.ErrNotFound
	}
	c, err := h.Channels.Get(r.Context(), channelID)
	if err == nil && c.AccountID != accountID {
		return channel.Channel{}, channel.ErrNotFound
	}
	return c, err
}

func problemOf(r *http.Request, err error) error {
	if p := new(api.Problem); errors.As(err, &p) {
		return p
	}
	if errors.Is(err, channel.ErrNotFound) {
		return api.NewProblem(api.CodeChannelNotFound)
	}
	return api.TryAgain(r, err)
}
