package main

import (
	"net/http"

	"contactcenter/shared/api"
)

// GetEvidenceKeys answers GET /v1/evidence-keys.
func (h *Handler) GetEvidenceKeys(w http.ResponseWriter, _ *http.Request) {
	out := api.EvidenceKeys{Keys: []api.EvidenceKey{}}
	for _, k := range h.Signers.JWKs() {
		out.Keys = append(out.Keys, api.EvidenceKey{
			Kty: api.EvidenceKeyKty(k.KeyType), Crv: api.EvidenceKeyCrv(k.Curve), X: k.X, Kid: k.KeyID, Alg: api.EvidenceKeyAlg(k.Algorithm), Use: api.EvidenceKeyUse(k.Use),
		})
	}
	api.WriteJSON(w, http.StatusOK, out)
}
