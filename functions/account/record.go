package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/channel"
	"contactcenter/shared/provider/registry"
)

// Channels are an account's, those that were deleted too.
type Channels interface {
	// Ever gives every channel that an account has or had.
	Ever(ctx context.Context, accountID string) ([]channel.Channel, error)
}

// Providers are the entries of the registry.
type Providers interface {
	Get(ctx context.Context, providerID string) (registry.Entry, error)
}

// GetProcessingRecord answers GET /v1/account/processing-record: what an account needs for its records of processing
// activities (article 30 of the GDPR): under which agreement, by which sub-processors, what, and for how long.
func (h *Handler) GetProcessingRecord(w http.ResponseWriter, r *http.Request) {
	out, err := h.record(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, out)
}

func (h *Handler) record(r *http.Request) (api.ProcessingRecord, error) {
	ctx, accountID := r.Context(), api.PrincipalFrom(r.Context()).AccountID
	a, err := h.Accounts.Get(ctx, accountID)
	if err != nil {
		return api.ProcessingRecord{}, accountProblem(r, err)
	}
	out := api.ProcessingRecord{
		AccountID: accountID, MadeAt: api.At(h.Now()), RetentionDays: int64(a.Retention() / (24 * time.Hour)),
		Agreements: []api.Acceptance{}, SubProcessors: []api.SubProcessor{}, Categories: categories(),
	}
	accepted, err := attr.All(ctx, accountID, h.Rules.Acceptances)
	if err != nil {
		return out, api.TryAgain(r, err)
	}
	for _, x := range accepted {
		out.Agreements = append(out.Agreements, showAcceptance(x))
	}
	if out.SubProcessors, err = h.subProcessors(ctx, accountID); err != nil {
		return out, api.TryAgain(r, err)
	}
	switch c, err := h.Closures.Closure(ctx, accountID); {
	case err == nil:
		v := api.ClosureOf(c)
		out.Closure = &v
	case !errors.Is(err, account.ErrNoClosure):
		return out, api.TryAgain(r, err)
	}
	return out, nil
}

// subProcessors are the providers that a channel of the account uses or used, with what they say now.
func (h *Handler) subProcessors(ctx context.Context, accountID string) ([]api.SubProcessor, error) {
	list := []api.SubProcessor{}
	at := map[string]int{}
	channels, err := h.Channels.Ever(ctx, accountID)
	if err != nil {
		return nil, err
	}
	for _, ch := range channels {
		i, known := at[ch.ProviderID]
		if !known {
			p, err := h.subProcessor(ctx, ch.ProviderID)
			if err != nil {
				return nil, err
			}
			i, at[ch.ProviderID] = len(list), len(list)
			list = append(list, p)
		}
		list[i].Channels = append(list[i].Channels, usedChannel(ch))
	}
	return list, nil
}

func (h *Handler) subProcessor(ctx context.Context, providerID string) (api.SubProcessor, error) {
	e, err := h.Providers.Get(ctx, providerID)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return api.SubProcessor{}, err
	}
	shown := api.ProviderOf(e)
	return api.SubProcessor{
		ProviderID: providerID, Name: shown.Name, LegalEntity: shown.LegalEntity, Website: shown.Website, Documents: shown.Documents,
		TermsVersion: shown.TermsVersion, TransferCountries: shown.TransferCountries, Channels: []api.UsedChannel{},
	}, nil
}

func usedChannel(ch channel.Channel) api.UsedChannel {
	u := api.UsedChannel{ID: ch.ID, Type: ch.Type, CreatedAt: api.OptionalTime(ch.CreatedAt), ActivatedAt: api.OptionalTime(ch.ActivatedAt), Deleted: ch.Deleted()}
	if !ch.ActivatedAt.IsZero() {
		u.ConfirmedTermsVersion, u.ConfirmedCountries = ch.Confirmation.ProviderTermsVersion, ch.Confirmation.TransferCountries
	}
	return u
}

// categories says what the software keeps of whom, and who gets it.
func categories() []api.DataCategory {
	return []api.DataCategory{
		{Subjects: "End recipients", Data: "addresses, and names where the account enters them; consents and opt-outs", Purpose: "to reach them on the account's order, and to keep to their word", Recipients: "the provider of the channel gets the address"},
		{Subjects: "End recipients", Data: "content of Business messages and of replies", Purpose: "to transmit it unchanged on the account's order, and to show replies to the account", Recipients: "the provider of the channel gets what is sent"},
		{Subjects: "Users of the account", Data: "the user's id in the CRM, time and IP address of what the user changes", Purpose: "evidence of acceptances, activations and other changes", Recipients: "nobody"},
	}
}
