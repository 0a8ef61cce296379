// Swagger UI for this Worker's document. The validator is off, because the default one is on another host.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });
