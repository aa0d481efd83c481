package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/channel"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/usage"
)

// Accounts keeps accounts and plans.
type Accounts interface {
	Find(ctx context.Context, accountID string) (account.Account, error)
	SetPlan(ctx context.Context, accountID, planID string, e audit.Event) (account.Account, error)
	Plan(ctx context.Context, planID string) (account.Plan, error)
	PutPlan(ctx context.Context, p account.Plan, e audit.Event) (account.Plan, bool, error)
	Members(ctx context.Context, planID string, p attr.Page) ([]string, string, error)
	Terms(ctx context.Context, accountID string, fresh bool) (usage.Terms, error)
	Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
	Restrict(ctx context.Context, r restriction.Restriction, e audit.Event) error
	Lift(ctx context.Context, restrictionID, by string, e audit.Event) (restriction.Restriction, bool, error)
	Restriction(ctx context.Context, restrictionID string) (restriction.Restriction, error)
	ListRestrictions(ctx context.Context, accountID string, p attr.Page) ([]restriction.Restriction, string, error)
	Closure(ctx context.Context, accountID string) (account.Closure, error)
}

// Gates keeps the accounts' gates.
type Gates interface {
	Read(ctx context.Context, accountID string, consistent bool) (usage.Gate, error)
	Bring(ctx context.Context, accountID string, terms usage.Terms) error
}

// Release makes what is held go as soon as there is room for it again.
type Release interface {
	Account(ctx context.Context, accountID string) error
	Plan(ctx context.Context, planID string) error
	Provider(ctx context.Context, providerID string) error
}

// Health tells how well providers work, a few seconds old.
type Health interface {
	States(ctx context.Context, of ...health.Subject) (map[health.Subject]health.Report, error)
}

// Providers keeps the registry and the pools of senders.
type Providers interface {
	Read(ctx context.Context, providerID string) (registry.Entry, error)
	List(ctx context.Context) ([]registry.Entry, error)
	Put(ctx context.Context, e registry.Entry, by audit.Event) (registry.Entry, error)
	Versions(ctx context.Context, providerID string, p attr.Page) ([]registry.Change, string, error)
	PutSender(ctx context.Context, providerID string, sender registry.Sender, e audit.Event) (registry.Sender, error)
	Senders(ctx context.Context, providerID string, p attr.Page) ([]registry.Sender, string, error)
}

// Channels tells whose a channel is. Nothing here changes a channel: an operator activates none.
type Channels interface {
	Lookup(ctx context.Context, channelID string) (channel.Channel, error)
}

// Rules publishes the Rules, and knows those in force.
type Rules interface {
	Current(ctx context.Context) (rules.Version, error)
	Get(ctx context.Context, version string) (rules.Version, error)
	Publish(ctx context.Context, v rules.Version, e audit.Event) error
}

// Audit lists what was done, and checks that the list is whole.
type Audit interface {
	All(ctx context.Context, p attr.Page, accountID string) ([]audit.Event, string, error)
	Verify(ctx context.Context, accountID, token string) (audit.Verification, error)
}

// Handler answers the operator's routes. None of them returns what a message says: the function can't read messages.
type Handler struct {
	Accounts  Accounts
	Gates     Gates
	Health    Health
	Reports   api.Reports
	Providers Providers
	Release   Release
	Channels  Channels
	Rules     Rules
	// Complaints and Evidence are for what third parties reported, Appeals for what accounts say to restrictions.
	Complaints Complaints
	Evidence   Evidence
	Appeals    Appeals
	Audit      Audit
	// Adapters are the names of what can speak to a provider.
	Adapters []string
	Events   Events
	Keys     *idempotency.Middleware
	IDs      id.Source
	Now      func() time.Time
}

// PutProvider answers PUT /v1/operator/providers/{id}.
func (h *Handler) PutProvider(w http.ResponseWriter, r *http.Request) {
	var req api.PutProviderRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		api.WriteError(w, r, err)
		return
	}
	e, err := providerFrom(r, req, h.Adapters)
	if err == nil {
		err = h.asItIs(r, req)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	by := api.AuditEvent(r.Context())
	by.Reason = req.Reason
	if e, err = h.Providers.Put(r.Context(), e, by); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	// Also when nothing changed: repeating the request does what may have failed the first time.
	if err := h.switched(r.Context(), e.ID); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	if e.Status != registry.Disabled {
		if err := h.Release.Provider(r.Context(), e.ID); err != nil {
			api.WriteError(w, r, api.TryAgain(r, err))
			return
		}
	}
	api.WriteJSON(w, http.StatusOK, h.show(r, e))
}

// asItIs refuses a health of a provider that has none yet. What a GET answered may come back, whatever it is by now; nobody sets it.
func (h *Handler) asItIs(r *http.Request, req api.PutProviderRequest) error {
	if req.Health == nil && req.Since == nil {
		return nil
	}
	_, err := h.Providers.Read(r.Context(), r.PathValue("id"))
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return api.TryAgain(r, err)
	}
	states := []api.Health{api.Health(health.Operational), api.Health(health.Degraded), api.Health(health.Outage)}
	var f form
	f.check(req.Health == nil || err == nil && slices.Contains(states, *req.Health), "health", "is not the provider's health, and can't be set: leave it out")
	f.check(req.Since == nil || err == nil, "since", "is not the time since when the provider's health is what it is, and can't be set: leave it out")
	return f.errs.Err()
}

// show shows a provider with its health, as far as that can be read.
func (h *Handler) show(r *http.Request, e registry.Entry) api.Provider {
	of := health.OfProvider(e.ID)
	states, err := h.Health.States(r.Context(), of)
	if err != nil {
		api.Note(r.Context(), err)
		return api.ProviderOf(e)
	}
	return api.ProviderOf(e.Working(registry.HealthState(states[of].State), states[of].Since))
}

// GetOperatorProvider answers GET /v1/operator/providers/{id}.
func (h *Handler) GetOperatorProvider(w http.ResponseWriter, r *http.Request) {
	e, err := h.provider(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, h.show(r, e))
}

// ListProviderVersions answers GET /v1/operator/providers/{id}/versions.
func (h *Handler) ListProviderVersions(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	e, err := h.provider(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Providers.Versions(r.Context(), e.ID, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	out := api.ProviderVersionList{Items: []api.ProviderVersion{}, NextPageToken: next}
	for _, c := range list {
		out.Items = append(out.Items, api.ProviderVersion{
			Version: c.Entry.Version, ChangedAt: api.OptionalTime(c.At), ChangedBy: c.By, Reason: c.Reason, Provider: api.ProviderOf(c.Entry),
		})
	}
	api.WriteJSON(w, http.StatusOK, out)
}

func (h *Handler) provider(r *http.Request) (registry.Entry, error) {
	e, err := h.Providers.Read(r.Context(), r.PathValue("id"))
	if errors.Is(err, registry.ErrNotFound) {
		return registry.Entry{}, api.NewProblem(api.CodeNotFound).WithDetail("There is no such provider.")
	}
	if err != nil {
		return registry.Entry{}, api.TryAgain(r, err)
	}
	return e, nil
}

// PutSender answers PUT /v1/operator/providers/{id}/senders/{sender_id}.
func (h *Handler) PutSender(w http.ResponseWriter, r *http.Request) {
	sender, reason, err := senderFrom(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	e, err := h.provider(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	if e.Onboarding != registry.Native {
		api.WriteError(w, r, api.NewProblem(api.CodeConflict).WithDetail("This provider is used with the customers' own accounts: it has no pool of senders."))
		return
	}
	sender, err = h.Providers.PutSender(r.Context(), e.ID, sender, auditEvent(r, reason))
	switch {
	case errors.Is(err, registry.ErrSenderInUse):
		api.WriteError(w, r, api.NewProblem(api.CodeConflict).WithDetail("The sender belongs to a channel: its address can't change."))
	case err != nil:
		api.WriteError(w, r, api.TryAgain(r, err))
	default:
		api.WriteJSON(w, http.StatusOK, api.Sender{ID: sender.ID, ProviderID: e.ID, Address: sender.Address, ChannelID: sender.ChannelID})
	}
}

// PutPlan answers PUT /v1/operator/plans/{id}.
func (h *Handler) PutPlan(w http.ResponseWriter, r *http.Request) {
	p, reason, err := planFrom(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	if p, _, err = h.Accounts.PutPlan(r.Context(), p, auditEvent(r, reason)); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	// Also when nothing changed: repeating the request reaches those that it did not reach the first time.
	h.reachMembers(r, p.ID)
	if err := h.Release.Plan(r.Context(), p.ID); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, showPlan(p))
}

// GetPlan answers GET /v1/operator/plans/{id}.
func (h *Handler) GetPlan(w http.ResponseWriter, r *http.Request) {
	p, err := h.Accounts.Plan(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, account.ErrPlanNotFound):
		api.WriteError(w, r, api.NewProblem(api.CodeNotFound).WithDetail("There is no such plan."))
	case err != nil:
		api.WriteError(w, r, api.TryAgain(r, err))
	default:
		api.WriteJSON(w, http.StatusOK, showPlan(p))
	}
}

func showPlan(p account.Plan) api.Plan {
	return api.Plan{
		ID: p.ID, Limit: p.Limit, Period: api.PeriodKind(p.Period),
		Rate: api.Rate{Limit: p.Rate.Limit, WindowSeconds: p.Rate.WindowSeconds, Burst: p.Rate.Burst},
	}
}

// PutOperatorAccount answers PUT /v1/operator/accounts/{id}.
func (h *Handler) PutOperatorAccount(w http.ResponseWriter, r *http.Request) {
	accountID, planID, reason, err := accountFrom(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	a, err := h.Accounts.SetPlan(r.Context(), accountID, planID, auditEvent(r, reason))
	if errors.Is(err, account.ErrPlanNotFound) {
		var errs api.FieldErrors
		errs.Add("plan_id", api.FieldInvalid, "is no plan")
		api.WriteError(w, r, errs.Err())
		return
	}
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	if err := h.reach(r.Context(), a.ID); err != nil {
		api.Note(r.Context(), err) // the account follows within seconds all the same
	}
	if err := h.Release.Account(r.Context(), a.ID); err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, showAccount(a))
}

// GetOperatorAccount answers GET /v1/operator/accounts/{id}.
func (h *Handler) GetOperatorAccount(w http.ResponseWriter, r *http.Request) {
	a, err := h.Accounts.Find(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrID):
		api.WriteError(w, r, api.NewProblem(api.CodeNotFound).WithDetail("There is no such account."))
	case err != nil:
		api.WriteError(w, r, api.TryAgain(r, err))
	default:
		h.showClosing(w, r, a)
	}
}

// showClosing shows an account and, where it is being closed or was, how far that is: the certificate of its purge outlives all its users.
func (h *Handler) showClosing(w http.ResponseWriter, r *http.Request, a account.Account) {
	out := showAccount(a)
	switch c, err := h.Accounts.Closure(r.Context(), a.ID); {
	case err == nil:
		v := api.ClosureOf(c)
		out.Closure = &v
	case !errors.Is(err, account.ErrNoClosure):
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, out)
}

func showAccount(a account.Account) api.OperatorAccount {
	return api.OperatorAccount{ID: a.ID, PlanID: a.PlanID, CreatedAt: api.OptionalTime(a.CreatedAt)}
}

// PublishRules answers POST /v1/operator/rules.
func (h *Handler) PublishRules(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		v, reason, err := rulesFrom(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		if err = h.Rules.Publish(r.Context(), v, auditEvent(r, reason)); err == nil {
			err = h.published(r.Context(), v.Version)
		}
		switch {
		case errors.Is(err, rules.ErrPublished):
			api.WriteError(w, r, api.NewProblem(api.CodeConflict).WithDetail("This version is published already, with another body. A published version never changes: publish a new one."))
		case err != nil:
			api.WriteError(w, r, api.TryAgain(r, err))
		default:
			w.Header().Set("Location", "/v1/rules/"+v.Version)
			api.WriteJSON(w, http.StatusCreated, api.RulesOf(v))
		}
	})(w, r)
}
