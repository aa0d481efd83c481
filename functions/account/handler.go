package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/sign"
	"contactcenter/shared/usage"
)

// Accounts knows accounts and the limits that hold for them.
type Accounts interface {
	Get(ctx context.Context, accountID string) (account.Account, error)
	Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
	Restriction(ctx context.Context, restrictionID string) (restriction.Restriction, error)
	SetRetention(ctx context.Context, accountID string, days int64, e audit.Event) (account.Account, error)
	SetCountries(ctx context.Context, accountID string, to account.Countries, e audit.Event) (account.Account, error)
}

// Gates knows what is used.
type Gates interface {
	Read(ctx context.Context, accountID string, consistent bool) (usage.Gate, error)
	Bring(ctx context.Context, accountID string, terms usage.Terms) error
}

// Messages tells what has become of messages in flight.
type Messages interface {
	Standings(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]message.Message, error)
}

// Rules keeps the Rules and their acceptances.
type Rules interface {
	Current(ctx context.Context) (rules.Version, error)
	Get(ctx context.Context, version string) (rules.Version, error)
	List(ctx context.Context, p attr.Page) ([]rules.Version, string, error)
	Accept(ctx context.Context, a rules.Acceptance, e audit.Event) error
	Acceptances(ctx context.Context, accountID string, p attr.Page) ([]rules.Acceptance, string, error)
}

// Audit lists what was done, and checks that the list is whole.
type Audit interface {
	Of(ctx context.Context, accountID string, p attr.Page) ([]audit.Event, string, error)
	Verify(ctx context.Context, accountID, token string) (audit.Verification, error)
}

// Handler answers the routes of the account and of the Rules.
type Handler struct {
	Accounts Accounts
	Gates    Gates
	Messages Messages
	Rules    Rules
	// Complaints and Sources are for everybody, Evidence and Appeals for the account.
	Complaints Complaints
	Sources    Sources
	Evidence   Evidence
	Appeals    Appeals
	Audit      Audit
	Closures   Closures
	Purges     Purges
	Release    Release
	Channels   Channels
	Providers  Providers
	Reports    api.Reports
	// Signers are the keys by which everybody verifies what is signed.
	Signers sign.Keys
	Keys    *idempotency.Middleware
	IDs     id.Source
	Now     func() time.Time
}

// GetAccount answers GET /v1/account.
func (h *Handler) GetAccount(w http.ResponseWriter, r *http.Request) {
	accountID := api.PrincipalFrom(r.Context()).AccountID
	a, err := h.Accounts.Get(r.Context(), accountID)
	if err != nil {
		api.WriteError(w, r, accountProblem(r, err))
		return
	}
	h.showAccount(w, r, a)
}

// UpdateAccount answers PATCH /v1/account.
func (h *Handler) UpdateAccount(w http.ResponseWriter, r *http.Request) {
	a, err := h.update(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.showAccount(w, r, a)
}

// update changes what a request names, each in a write of its own with its event.
func (h *Handler) update(r *http.Request) (a account.Account, err error) {
	ctx, accountID := r.Context(), api.PrincipalFrom(r.Context()).AccountID
	var req api.UpdateAccountRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return a, err
	}
	if err := checkUpdate(req); err != nil {
		return a, err
	}
	if req.RetentionDays != nil {
		if a, err = h.Accounts.SetRetention(ctx, accountID, *req.RetentionDays, api.AuditEvent(ctx)); err != nil {
			return a, accountProblem(r, err)
		}
	}
	if req.AllowedTransferCountries == nil {
		return a, nil
	}
	if a, err = h.Accounts.SetCountries(ctx, accountID, account.Countries(*req.AllowedTransferCountries), api.AuditEvent(ctx)); err != nil {
		return a, accountProblem(r, err)
	}
	if err := h.bring(ctx, accountID); err != nil {
		api.Note(ctx, err) // who reads the account anew follows within seconds all the same
	}
	return a, nil
}

func checkUpdate(req api.UpdateAccountRequest) error {
	var errs api.FieldErrors
	if req.RetentionDays == nil && req.AllowedTransferCountries == nil {
		errs.Add("body", api.FieldRequired, "must have retention_days or allowed_transfer_countries")
	}
	if d := req.RetentionDays; d != nil && (*d < 1 || *d > account.MaxRetentionDays) {
		errs.Add("retention_days", api.FieldInvalid, "must be a whole number from 1 to 3650")
	}
	if list := req.AllowedTransferCountries; list != nil {
		checkCountries(*list, &errs)
	}
	return errs.Err()
}

func checkCountries(list api.CountryList, errs *api.FieldErrors) {
	const field, most = "allowed_transfer_countries", 250
	switch {
	case list != nil && len(list) == 0:
		errs.Add(field, api.FieldInvalid, "must name a country, or be null: then data may go to all")
		return
	case len(list) > most:
		errs.Add(field, api.FieldInvalid, "must have at most 250 items")
		return
	}
	for i, c := range list {
		if !account.IsCountry(c) {
			errs.Add(fmt.Sprintf("%s[%d]", field, i), api.FieldInvalid, "must be a country's code of ISO 3166-1 alpha-2, like CY")
		}
	}
}

func (h *Handler) showAccount(w http.ResponseWriter, r *http.Request, a account.Account) {
	accountID := a.ID
	last, _, err := h.Rules.Acceptances(r.Context(), accountID, attr.Page{Size: 1})
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	overdue, err := h.Evidence.Overdue(r.Context(), accountID)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	out := api.Account{AllowedTransferCountries: a.Countries, RetentionDays: int64(a.Retention() / (24 * time.Hour)), EvidenceRequestsOverdue: overdue, ID: a.ID, PlanID: a.PlanID, CreatedAt: api.OptionalTime(a.CreatedAt), Restrictions: api.RestrictionsOf(a.Restrictions.ActiveAt(h.Now()))}
	if len(last) > 0 {
		out.RulesAccepted, out.DpaAccepted = last[0].RulesVersion, dpaOf(last[0])
	}
	api.WriteJSON(w, http.StatusOK, out)
}

// dpaOf is the version of the agreement on processing personal data that an acceptance names, "" for none.
func dpaOf(a rules.Acceptance) string {
	for _, d := range a.Documents {
		if d.ID == "dpa" {
			return d.Version
		}
	}
	return ""
}

// accountProblem says why an account can't be shown.
func accountProblem(r *http.Request, err error) error {
	if errors.Is(err, account.ErrID) {
		return api.NewProblem(api.CodeForbidden).WithDetail("The token's account_id can't be an account's id.")
	}
	return api.TryAgain(r, err)
}

// GetUsage answers GET /v1/usage: as it is now, not as it was some seconds ago.
func (h *Handler) GetUsage(w http.ResponseWriter, r *http.Request) {
	ctx, accountID := r.Context(), api.PrincipalFrom(r.Context()).AccountID
	st, err := h.Accounts.Standing(ctx, accountID, true)
	if err != nil {
		api.WriteError(w, r, accountProblem(r, err))
		return
	}
	gate, err := h.Gates.Read(ctx, accountID, true)
	if err != nil && !errors.Is(err, usage.ErrNoGate) {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	inFlight, err := h.inFlight(ctx, accountID, gate)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.UsageOf(gate, st, h.Now(), inFlight))
}

// inFlight counts what is on its way to a provider. The ledger also holds what is done and not yet settled.
func (h *Handler) inFlight(ctx context.Context, accountID string, g usage.Gate) (int, error) {
	if len(g.Entries) == 0 {
		return 0, nil
	}
	found, err := h.Messages.Standings(ctx, accountID, g.Messages())
	if err != nil {
		return 0, err
	}
	return g.InFlight(func(mid id.Message) bool {
		m, ok := found[mid]
		return ok && m.Final()
	}), nil
}

// GetDocument answers GET /v1/openapi.json.
func (h *Handler) GetDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(api.DocumentJSON()) // the caller is gone: nobody is left to tell
}

// GetCurrentRules answers GET /v1/rules/current.
func (h *Handler) GetCurrentRules(w http.ResponseWriter, r *http.Request) {
	v, err := h.Rules.Current(r.Context())
	h.showRules(w, r, v, err)
}

// GetRules answers GET /v1/rules/{version}.
func (h *Handler) GetRules(w http.ResponseWriter, r *http.Request) {
	v, err := h.Rules.Get(r.Context(), r.PathValue("version"))
	h.showRules(w, r, v, err)
}

func (h *Handler) showRules(w http.ResponseWriter, r *http.Request, v rules.Version, err error) {
	if err != nil {
		api.WriteError(w, r, rulesProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.RulesOf(v))
}

// rulesProblem says why a version of the Rules can't be shown.
func rulesProblem(r *http.Request, err error) error {
	switch {
	case errors.Is(err, rules.ErrNotFound):
		return api.NewProblem(api.CodeNotFound).WithDetail("There is no such version of the Rules.")
	case errors.Is(err, rules.ErrNoneInForce):
		return api.NewProblem(api.CodeNotFound).WithDetail("No version of the Rules is in force yet.")
	default:
		return api.TryAgain(r, err)
	}
}

// GetProhibitedUses answers GET /v1/rules/current/prohibited-uses.
func (h *Handler) GetProhibitedUses(w http.ResponseWriter, r *http.Request) {
	v, err := h.Rules.Current(r.Context())
	if err != nil {
		api.WriteError(w, r, rulesProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.ProhibitedUseList{Version: v.Version, Items: api.RulesOf(v).ProhibitedUses})
}

// ListRules answers GET /v1/rules: every published version, the one that comes into force last first.
func (h *Handler) ListRules(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Rules.List(r.Context(), page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.RulesList{Items: api.ItemsOf(list, api.RulesOf), NextPageToken: next})
}

// AcceptRules answers POST /v1/rules/acceptances.
func (h *Handler) AcceptRules(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		a, err := h.accept(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		api.WriteJSON(w, http.StatusCreated, showAcceptance(a))
	})(w, r)
}

func (h *Handler) accept(r *http.Request) (rules.Acceptance, error) {
	var req api.AcceptRulesRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return rules.Acceptance{}, err
	}
	var errs api.FieldErrors
	entity := checkCapacity(req, &errs)
	v, err := h.acceptable(r, req.RulesVersion, &errs)
	if err != nil {
		return rules.Acceptance{}, err
	}
	documents := checkDocuments(req.Documents, v, &errs)
	if err := errs.Err(); err != nil {
		return rules.Acceptance{}, err
	}
	call, p := api.CallFrom(r.Context()), api.PrincipalFrom(r.Context())
	// The account is known from its first call on, which may be this one.
	if _, err := h.Accounts.Get(r.Context(), p.AccountID); err != nil {
		return rules.Acceptance{}, accountProblem(r, err)
	}
	acceptanceID, err := h.IDs.New(id.AcceptancePrefix)
	if err != nil {
		return rules.Acceptance{}, err
	}
	a := rules.Acceptance{
		ID: acceptanceID, AccountID: p.AccountID, RulesVersion: v.Version, Documents: documents, Capacity: rules.Capacity(req.Capacity), Kind: rules.ByRequest,
		LegalEntityName: entity, UserID: p.UserID, SourceIP: call.SourceIP, At: h.Now().UTC().Truncate(time.Millisecond),
	}
	if err := h.Rules.Accept(r.Context(), a, api.AuditEvent(r.Context())); err != nil {
		return rules.Acceptance{}, api.TryAgain(r, err)
	}
	return a, nil
}

// checkCapacity gives the legal entity's name. It is there exactly when the user acts for one.
func checkCapacity(req api.AcceptRulesRequest, errs *api.FieldErrors) string {
	const field, maxName = "legal_entity_name", 256
	name := ""
	if req.LegalEntityName != nil {
		name = *req.LegalEntityName
	}
	switch entity := rules.Capacity(req.Capacity) == rules.LegalEntity; {
	case entity && strings.TrimSpace(name) == "":
		errs.Add(field, api.FieldRequired, "is required with capacity legal_entity")
	case !entity && name != "":
		errs.Add(field, api.FieldInvalid, "must be left out unless capacity is legal_entity")
	case utf8.RuneCountInString(name) > maxName:
		errs.Add(field, api.FieldInvalid, "must have at most 256 characters")
	}
	return name
}

// acceptable gives the version that is to be accepted: the one in force, or one that will be. An older one binds nobody.
func (h *Handler) acceptable(r *http.Request, version string, errs *api.FieldErrors) (rules.Version, error) {
	v, err := h.Rules.Get(r.Context(), version)
	if errors.Is(err, rules.ErrNotFound) {
		errs.Add("rules_version", api.FieldInvalid, "is no published version of the Rules: see GET /v1/rules/current")
		return rules.Version{}, errs.Err()
	}
	if err != nil {
		return rules.Version{}, api.TryAgain(r, err)
	}
	current, err := h.Rules.Current(r.Context())
	switch {
	case errors.Is(err, rules.ErrNoneInForce):
		return v, nil
	case err != nil:
		return rules.Version{}, api.TryAgain(r, err)
	case v.Version != current.Version && v.EffectiveAt.Before(current.EffectiveAt):
		return rules.Version{}, api.NewProblem(api.CodeConfirmationOutdated).WithDetail("This version of the Rules is no longer in force. Show the user the one in GET /v1/rules/current.")
	}
	return v, nil
}

// checkDocuments gives the accepted documents: all those of the version, each as it was published.
func checkDocuments(accepted []api.AcceptedDocument, v rules.Version, errs *api.FieldErrors) []rules.Document {
	given := map[string]api.AcceptedDocument{}
	for _, d := range accepted {
		if _, ok := given[string(d.ID)]; ok {
			errs.Add("documents", api.FieldDuplicate, "has "+string(d.ID)+" more than once")
		}
		given[string(d.ID)] = d
	}
	documents := make([]rules.Document, 0, len(v.Documents))
	for _, d := range v.Documents {
		g, ok := given[d.ID]
		delete(given, d.ID)
		switch {
		case !ok:
			errs.Add("documents", api.FieldRequired, "must have "+d.ID)
		case g.Version != d.Version || g.Sha256 != d.SHA256:
			errs.Add("documents", api.FieldInvalid, d.ID+" is not the document of this version of the Rules")
		}
		documents = append(documents, rules.Document{ID: d.ID, Version: d.Version, SHA256: d.SHA256})
	}
	for name := range given {
		errs.Add("documents", api.FieldInvalid, name+" does not belong to this version of the Rules")
	}
	return documents
}

// ListAcceptances answers GET /v1/rules/acceptances, newest first.
func (h *Handler) ListAcceptances(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Rules.Acceptances(r.Context(), api.PrincipalFrom(r.Context()).AccountID, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.AcceptanceList{Items: api.ItemsOf(list, showAcceptance), NextPageToken: next})
}

func showAcceptance(a rules.Acceptance) api.Acceptance {
	out := api.Acceptance{
		ID: a.ID, RulesVersion: a.RulesVersion, Documents: []api.AcceptedDocument{}, Capacity: api.Capacity(a.Capacity), LegalEntityName: a.LegalEntityName,
		AcceptedBy: a.UserID, AcceptedAt: api.At(a.At), IPAddress: a.SourceIP, Kind: api.AcceptanceKind(a.Kind),
	}
	for _, d := range a.Documents {
		out.Documents = append(out.Documents, api.AcceptedDocument{ID: api.RulesDocumentID(d.ID), Version: d.Version, Sha256: d.SHA256})
	}
	return out
}
