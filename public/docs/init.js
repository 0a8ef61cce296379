// Swagger UI for this Worker's OpenAPI document. The validator is disabled, because it would call another host.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });
