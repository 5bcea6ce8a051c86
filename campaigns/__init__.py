"""Campaigns that look for a counter-example to what billing promises: docs/campaigns.md."""
