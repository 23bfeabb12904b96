"""The caller of a route, by the scope that the route needs."""

from typing import Annotated

from fastapi import Depends

from app.api.context import Caller, Scoped

AnyCaller = Annotated[Caller, Depends(Scoped(None))]
DatasetReader = Annotated[Caller, Depends(Scoped("datasets:read"))]
DatasetWriter = Annotated[Caller, Depends(Scoped("datasets:write"))]
JobReader = Annotated[Caller, Depends(Scoped("jobs:read"))]
JobWriter = Annotated[Caller, Depends(Scoped("jobs:write"))]
ArtifactReader = Annotated[Caller, Depends(Scoped("artifacts:read"))]
ModelReader = Annotated[Caller, Depends(Scoped("generators:read"))]
KeyReader = Annotated[Caller, Depends(Scoped("keys:read"))]
KeyWriter = Annotated[Caller, Depends(Scoped("keys:write"))]
