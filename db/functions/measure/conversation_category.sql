-- measure: which category of WhatsApp conversation a message belongs to.
CREATE OR REPLACE FUNCTION billing.conversation_category(p_metadata jsonb, p_conversation_category text DEFAULT NULL)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT COALESCE(
        substring(lower(p_metadata -> 'pricing' ->> 'category') FROM '^(authentication|marketing|utility|service)$'),
        substring(lower(p_metadata -> 'conversation' -> 'origin' ->> 'type') FROM '^(authentication|marketing|utility|service)$'),
        substring(lower(p_metadata ->> 'conversation_category') FROM '^(authentication|marketing|utility|service)$'),
        substring(lower(p_conversation_category) FROM '^(authentication|marketing|utility|service)$')
    );
$$;

COMMENT ON FUNCTION billing.conversation_category IS
'authentication, marketing, utility or service: the first that is known of what the provider''s webhook charged (pricing),
what it says of the conversation (origin), both kept in p_metadata as they came, and what the application itself wrote
down, in p_metadata or in a column p_conversation_category. NULL: none is known.';
