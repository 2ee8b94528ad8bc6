-- needs: failed_dumps
SELECT path, size, message, failed_at FROM failed_dumps ORDER BY path;
