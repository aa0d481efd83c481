package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
)

// Accounts makes sure that an account is known.
type Accounts interface {
	Get(ctx context.Context, accountID string) (account.Account, error)
}

// Endpoints keeps webhook endpoints.
type Endpoints interface {
	List(ctx context.Context, accountID string) ([]endpoint.Endpoint, error)
	Get(ctx context.Context, accountID, endpointID string) (endpoint.Endpoint, error)
	Secrets(e endpoint.Endpoint, now time.Time) ([]string, error)
	Create(ctx context.Context, e endpoint.Endpoint, secret string, ev audit.Event) error
	Update(ctx context.Context, accountID, endpointID string, c endpoint.Change, ev audit.Event) (endpoint.Endpoint, error)
	Rotate(ctx context.Context, accountID, endpointID, secretID, secret string, ev audit.Event) (endpoint.Endpoint, error)
	Delete(ctx context.Context, accountID, endpointID string, ev audit.Event) error
}

// Deliveries keeps what was sent.
type Deliveries interface {
	List(ctx context.Context, endpointID string, p attr.Page) ([]delivery.Delivery, string, error)
	Save(ctx context.Context, d delivery.Delivery) error
	Events(ctx context.Context, accountID string, from, to time.Time, after string, limit int) ([]event.Event, string, error)
}

// Replays asks for events to be sent again.
type Replays interface {
	Ask(ctx context.Context, r delivery.Replay) error
}

// Sender sends to an endpoint.
type Sender interface {
	Send(ctx context.Context, url, eventID string, body []byte, secrets ...string) delivery.Answer
}

// Handler answers the routes of webhook endpoints.
type Handler struct {
	Accounts   Accounts
	Endpoints  Endpoints
	Deliveries Deliveries
	Replays    Replays
	Sender     Sender
	Keys       *idempotency.Middleware
	// Targets says where endpoints may be, Resolver where they are.
	Targets  endpoint.Targets
	Resolver endpoint.Resolver
	IDs      id.Source
	// Random is what secrets are made of.
	Random io.Reader
	Now    func() time.Time
}

var _ api.EndpointsServer = (*Handler)(nil)

const maxDescription = 200

// CreateWebhookEndpoint answers POST /v1/webhook-endpoints. What is kept for the Idempotency-Key is the endpoint's id alone: the
// secret in an answer that comes again is opened anew.
func (h *Handler) CreateWebhookEndpoint(w http.ResponseWriter, r *http.Request) {
	newID := func() (string, error) { return h.IDs.New(id.EndpointPrefix) }
	h.Keys.Named(newID, func(w http.ResponseWriter, r *http.Request, subject string, repeated bool) {
		accountID := api.PrincipalFrom(r.Context()).AccountID
		if repeated {
			if e, err := h.Endpoints.Get(r.Context(), accountID, subject); err == nil {
				w.Header().Set(idempotency.ReplayedHeader, "true")
				h.showWithSecret(w, r, e, http.StatusCreated)
				return
			} else if !errors.Is(err, endpoint.ErrNotFound) {
				api.WriteError(w, r, api.TryAgain(r, err))
				return
			}
		}
		e, err := h.create(r, accountID, subject)
		if err != nil {
			api.WriteError(w, r, problemOf(r, err))
			return
		}
		h.showWithSecret(w, r, e, http.StatusCreated)
	})(w, r)
}

func (h *Handler) create(r *http.Request, accountID, endpointID string) (endpoint.Endpoint, error) {
	var req api.CreateWebhookEndpointRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return endpoint.Endpoint{}, err
	}
	e := endpoint.Endpoint{ID: endpointID, AccountID: accountID, URL: req.URL, Types: event.All, Status: endpoint.Enabled, CreatedAt: h.Now().UTC().Truncate(time.Millisecond), CreatedBy: api.PrincipalFrom(r.Context()).UserID, SecretID: endpointID}
	c, err := h.change(r, api.UpdateWebhookEndpointRequest{URL: &req.URL, EventTypes: req.EventTypes, Description: req.Description})
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	if c.Types != nil {
		e.Types = *c.Types
	}
	if c.Description != nil {
		e.Description = *c.Description
	}
	if _, err := h.Accounts.Get(r.Context(), accountID); err != nil {
		return endpoint.Endpoint{}, err
	}
	secret, err := endpoint.NewSecret(h.Random)
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	if err := h.Endpoints.Create(r.Context(), e, secret, api.AuditEvent(r.Context())); err != nil {
		return endpoint.Endpoint{}, err
	}
	return h.Endpoints.Get(r.Context(), accountID, endpointID)
}

// change checks what a user wants of an endpoint.
func (h *Handler) change(r *http.Request, req api.UpdateWebhookEndpointRequest) (endpoint.Change, error) {
	var errs api.FieldErrors
	c := endpoint.Change{URL: req.URL, Description: req.Description}
	if req.URL != nil {
		if err := h.Targets.Check(r.Context(), h.Resolver, *req.URL); err != nil {
			errs.Add("url", api.FieldInvalid, err.Error())
		}
	}
	if req.Description != nil && utf8.RuneCountInString(*req.Description) > maxDescription {
		errs.Add("description", api.FieldInvalid, "must have at most 200 characters")
	}
	if req.EventTypes != nil {
		types, unknown := event.SetOf(*req.EventTypes...)
		switch {
		case unknown != "" || len(*req.EventTypes) > 0 && types == 0:
			errs.Add("event_types", api.FieldInvalid, "holds a type that there is not")
		case types == 0:
			errs.Add("event_types", api.FieldInvalid, "must name at least one type; leave it out for all")
		}
		c.Types = &types
	}
	if req.Status != nil {
		status := endpoint.Status(*req.Status)
		if !req.Status.Valid() {
			errs.Add("status", api.FieldInvalid, "must be enabled or disabled")
		}
		c.Status = &status
	}
	return c, errs.Err()
}

// ListWebhookEndpoints answers GET /v1/webhook-endpoints.
func (h *Handler) ListWebhookEndpoints(w http.ResponseWriter, r *http.Request) {
	out, err := h.list(r)
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, out)
}

func (h *Handler) list(r *http.Request) (api.WebhookEndpointList, error) {
	page, err := api.ReadPage(r)
	if err != nil {
		return api.WebhookEndpointList{}, err
	}
	start, err := attr.Start(page.Token, nil, "after")
	if err != nil {
		return api.WebhookEndpointList{}, api.BadPageToken()
	}
	all, err := h.Endpoints.List(r.Context(), api.PrincipalFrom(r.Context()).AccountID)
	if err != nil {
		return api.WebhookEndpointList{}, err
	}
	slices.SortFunc(all, func(a, b endpoint.Endpoint) int { return strings.Compare(a.ID, b.ID) })
	out := api.WebhookEndpointList{Items: []api.WebhookEndpoint{}}
	for _, e := range all {
		if e.ID <= attr.Text(start, "after") {
			continue
		}
		if len(out.Items) == page.Size {
			out.NextPageToken, err = attr.Token(attr.Item{"after": attr.String(out.Items[page.Size-1].ID)})
			break
		}
		out.Items = append(out.Items, api.WebhookEndpointOf(e, h.Now()))
	}
	return out, err
}

// GetWebhookEndpoint answers GET /v1/webhook-endpoints/{id}.
func (h *Handler) GetWebhookEndpoint(w http.ResponseWriter, r *http.Request) {
	e, err := h.own(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, api.WebhookEndpointOf(e, h.Now()))
}

// UpdateWebhookEndpoint answers PATCH /v1/webhook-endpoints/{id}.
func (h *Handler) UpdateWebhookEndpoint(w http.ResponseWriter, r *http.Request) {
	e, err := h.update(r)
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.WebhookEndpointOf(e, h.Now()))
}

func (h *Handler) update(r *http.Request) (endpoint.Endpoint, error) {
	e, err := h.own(r)
	if err != nil {
		return e, err
	}
	var req api.UpdateWebhookEndpointRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return e, err
	}
	c, err := h.change(r, req)
	if err != nil {
		return e, err
	}
	return h.Endpoints.Update(r.Context(), e.AccountID, e.ID, c, api.AuditEvent(r.Context()))
}

// DeleteWebhookEndpoint answers DELETE /v1/webhook-endpoints/{id}.
func (h *Handler) DeleteWebhookEndpoint(w http.ResponseWriter, r *http.Request) {
	e, err := h.own(r)
	if err == nil {
		err = h.Endpoints.Delete(r.Context(), e.AccountID, e.ID, api.AuditEvent(r.Context()))
	}
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// RotateWebhookSecret answers POST /v1/webhook-endpoints/{id}/rotate-secret. A repeat with the same Idempotency-Key does not rotate
// again, which would end the overlap of the secret that the CRM still has.
func (h *Handler) RotateWebhookSecret(w http.ResponseWriter, r *http.Request) {
	if err := api.NoBody(r); err != nil {
		api.WriteError(w, r, err)
		return
	}
	newID := func() (string, error) { return h.IDs.New("sec_") }
	h.Keys.Named(newID, func(w http.ResponseWriter, r *http.Request, subject string, repeated bool) {
		e, err := h.own(r)
		switch {
		case err != nil:
		case repeated && e.SecretID == subject:
			w.Header().Set(idempotency.ReplayedHeader, "true")
		default:
			var secret string
			if secret, err = endpoint.NewSecret(h.Random); err == nil {
				e, err = h.Endpoints.Rotate(r.Context(), e.AccountID, e.ID, subject, secret, api.AuditEvent(r.Context()))
			}
		}
		if err != nil {
			api.WriteError(w, r, problemOf(r, err))
			return
		}
		h.showWithSecret(w, r, e, http.StatusOK)
	})(w, r)
}

func (h *Handler) showWithSecret(w http.ResponseWriter, r *http.Request, e endpoint.Endpoint, status int) {
	secrets, err := h.Endpoints.Secrets(e, h.Now())
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	out := api.WebhookEndpointWithSecret{WebhookEndpoint: api.WebhookEndpointOf(e, h.Now()), Secret: secrets[0]}
	if status == http.StatusCreated {
		w.Header().Set("Location", "/v1/webhook-endpoints/"+e.ID)
	}
	api.WriteJSON(w, status, out)
}

// own gives the endpoint of the path, if it is the caller's.
func (h *Handler) own(r *http.Request) (endpoint.Endpoint, error) {
	endpointID := r.PathValue("id")
	if !id.Valid(id.EndpointPrefix, endpointID) {
		return endpoint.Endpoint{}, api.NewProblem(api.CodeNotFound)
	}
	e, err := h.Endpoints.Get(r.Context(), api.PrincipalFrom(r.Context()).AccountID, endpointID)
	if err != nil {
		return e, problemOf(r, err)
	}
	return e, nil
}

// problemOf says why something could not be done.
func problemOf(r *http.Request, err error) error {
	problem := new(api.Problem)
	switch {
	case errors.As(err, &problem):
		return err
	case errors.Is(err, endpoint.ErrNotFound):
		return api.NewProblem(api.CodeNotFound)
	case errors.Is(err, endpoint.ErrTooMany):
		return api.NewProblem(api.CodeConflict).WithDetail("The account has 10 webhook endpoints, which is the most. Delete one first.")
	case errors.Is(err, attr.ErrToken):
		return api.BadPageToken()
	case errors.Is(err, account.ErrID):
		return api.NewProblem(api.CodeForbidden).WithDetail("The token's account_id can't be the id of an account.")
	}
	return api.TryAgain(r, err)
}
