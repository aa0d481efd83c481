// Package api knows the HTTP contract: the OpenAPI document with the types and routes that are generated from it, the
// problems, how requests are decoded, pages, rate limit headers, idempotency keys, and how a handler of net/http is
// called by API Gateway. It does not know what any route does.
package api

import _ "embed"

//go:generate go tool oapi-codegen -config codegen/types.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/messages.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/channels.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/recipients.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/templates.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/account.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/operator.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/endpoints.yaml openapi.yaml
//go:generate go tool oapi-codegen -config codegen/webhook.yaml openapi.yaml

//go:generate go run contactcenter/scripts/document openapi.yaml openapi.gen.json ../client/client.gen.go ../client/typescript/src

//go:embed openapi.yaml
var document []byte

//go:embed openapi.gen.json
var documentJSON []byte

// Document gives the OpenAPI document, as YAML.
func Document() []byte { return append([]byte(nil), document...) }

// DocumentJSON gives the OpenAPI document, as JSON.
func DocumentJSON() []byte { return append([]byte(nil), documentJSON...) }
