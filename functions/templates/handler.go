package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/templates"
)

// Channels finds channels. It returns channel.ErrNotFound.
type Channels interface {
	Get(ctx context.Context, id string) (channel.Channel, error)
}

// Providers is the registry of providers. It returns registry.ErrNotFound.
type Providers interface {
	Get(ctx context.Context, providerID string) (registry.Entry, error)
}

// Templates keeps what providers told.
type Templates interface {
	Get(ctx context.Context, accountID, channelID string) (templates.List, error)
	Save(ctx context.Context, accountID, channelID string, l templates.List) error
}

// Handler shows the message templates that a channel's provider has for its sender.
type Handler struct {
	Channels  Channels
	Providers Providers
	Templates Templates
	// Credentials opens those of accounts, to ask their providers.
	Credentials channel.Opener
	// Adapters speak to providers; by their ids, which channels name.
	Adapters map[string]provider.Adapter
	Now      func() time.Time
}

// askTimeout bounds what a provider may take, within the function's own time.
const askTimeout = 8 * time.Second

// ListTemplates answers GET /v1/channels/{id}/templates.
func (h *Handler) ListTemplates(w http.ResponseWriter, r *http.Request) {
	out, err := h.page(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, out)
}

func (h *Handler) page(r *http.Request) (api.TemplateList, error) {
	page, err := api.ReadPage(r)
	if err != nil {
		return api.TemplateList{}, err
	}
	start, err := attr.Start(page.Token, nil, "after")
	if err != nil {
		return api.TemplateList{}, api.BadPageToken()
	}
	c, err := h.own(r)
	if err != nil {
		return api.TemplateList{}, err
	}
	list, err := h.list(r, c)
	if err != nil {
		return api.TemplateList{}, err
	}
	out := api.TemplateList{Items: []api.Template{}, SyncedAt: api.OptionalTime(list.SyncedAt)}
	shown, last := list.After(attr.Text(start, "after"), page.Size)
	for _, t := range shown {
		out.Items = append(out.Items, show(t))
	}
	if last != "" {
		out.NextPageToken, err = attr.Token(attr.Item{"after": attr.String(last)})
	}
	return out, err
}

func show(t provider.Template) api.Template {
	return api.Template{
		ProviderTemplateID: t.ID, Name: t.Name, Language: t.Language, Status: api.TemplateStatus(t.Status), Category: t.Category, Text: t.Text,
		Variables: append([]string{}, t.Variables...),
	}
}

// own gives the channel of the path, if it is the caller's.
func (h *Handler) own(r *http.Request) (channel.Channel, error) {
	accountID, channelID := api.PrincipalFrom(r.Context()).AccountID, r.PathValue("id")
	if accountID == "" || !id.Valid(id.ChannelPrefix, channelID) {
		return channel.Channel{}, api.NewProblem(api.CodeChannelNotFound)
	}
	c, err := h.Channels.Get(r.Context(), channelID)
	switch {
	case errors.Is(err, channel.ErrNotFound) || err == nil && c.AccountID != accountID:
		return channel.Channel{}, api.NewProblem(api.CodeChannelNotFound)
	case err != nil:
		return channel.Channel{}, api.TryAgain(r, err)
	}
	return c, nil
}

// list gives the templates as the provider has them, or as it had them when it could last be asked. A provider that has no
// templates has an empty list.
func (h *Handler) list(r *http.Request, c channel.Channel) (templates.List, error) {
	lister, ok := h.Adapters[c.AdapterID()].(provider.TemplateLister)
	if !ok {
		return templates.List{}, nil
	}
	kept, err := h.Templates.Get(r.Context(), c.AccountID, c.ID)
	if err != nil {
		return templates.List{}, api.TryAgain(r, err)
	}
	if kept.Fresh(h.Now()) {
		return kept, nil
	}
	asked, err := h.ask(r, c, lister)
	if err != nil && kept.Known() {
		return kept, nil
	}
	return asked, err
}

// ask asks the provider, and keeps what it tells. The time of asking is that before the call: a change that is told
// meanwhile makes the list stale.
func (h *Handler) ask(r *http.Request, c channel.Channel, lister provider.TemplateLister) (templates.List, error) {
	if err := h.switchedOn(r, c.ProviderID); err != nil {
		return templates.List{}, err
	}
	account, err := c.WithCredentials(h.Credentials)
	if err != nil {
		return templates.List{}, api.TryAgain(r, err)
	}
	now := h.Now()
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	told, err := lister.Templates(ctx, account)
	if err != nil {
		return templates.List{}, providerProblem(r, err)
	}
	list := templates.New(told, now.UTC().Truncate(time.Millisecond))
	if err := h.Templates.Save(r.Context(), c.AccountID, c.ID, list); err != nil {
		api.Note(r.Context(), err) // it can be shown all the same
	}
	return list, nil
}

// switchedOn says why a provider must not be called at present.
func (h *Handler) switchedOn(r *http.Request, providerID string) error {
	e, err := h.Providers.Get(r.Context(), providerID)
	switch {
	case errors.Is(err, registry.ErrNotFound) || err == nil && e.Status == registry.Removed:
		return api.NewProblem(api.CodeProviderRemoved)
	case err != nil:
		return api.TryAgain(r, err)
	case e.Status != registry.Enabled:
		return api.NewProblem(api.CodeProviderDisabled)
	}
	return nil
}

// providerProblem says why a provider told nothing: 503 where it may later, 502 where it won't.
func providerProblem(r *http.Request, err error) error {
	fail := provider.Failure(err)
	api.Note(r.Context(), err)
	p := api.NewProblem(api.CodeProviderUnavailable).WithStatus(http.StatusServiceUnavailable)
	switch {
	case fail.Kind == provider.Credentials:
		p = api.NewProblem(api.CodeCredentialsInvalid)
	case fail.Code == string(api.CodeSenderUnavailable):
		p = api.NewProblem(api.CodeSenderUnavailable).WithStatus(http.StatusBadGateway)
	case fail.Kind == provider.Permanent:
		p = api.NewProblem(api.CodeProviderRefused).WithStatus(http.StatusBadGateway)
	default:
		p.RetryAfter = max(fail.RetryAfter, time.Second)
	}
	p.FaultDomain = string(provider.FaultProvider)
	if fail.Fault != "" {
		p.FaultDomain = string(fail.Fault)
	}
	if fail.Detail != "" {
		p.Detail = fail.Detail
	}
	return p
}
